//! One declared field: where its value stands, what it must be, and what to do without it.

use crate::{
    decimal,
    either::PathOr,
    problem::{Problem, Problems, Shape},
    record::{Holds, Kind, RecordId},
    verify::read_timestamp as time,
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_json_path::JsonPath;
use std::{borrow::Cow, collections::BTreeMap};

/// Tables of a definition, by name: from a text to a text, such as from a group to a location.
pub type Tables = BTreeMap<String, BTreeMap<String, String>>;

/// The declared fields of a mapping, by the name of what they make.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<String, Field>);

/// One field.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Where it stands: the first place that holds something wins.
    pub from: OneOrMany<Place>,
    /// What it must be.
    #[serde(rename = "type", default)]
    pub type_: FieldType,
    /// From the source's word to ours: for `type = "enum"` all of them; for a country or a currency, what the source
    /// writes that is no code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Shorthand for `on_missing = "reject"`.
    #[serde(default)]
    pub required: bool,
    /// The value where there is none; implies `on_missing = "default"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What to do where there is no value. Without it, `required` and `default` decide, and else the field is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// Whether it tells something of a person: then no report or audit row repeats it.
    #[serde(default)]
    pub personal: bool,
}

/// Other places of some declared fields, by the fields' names.
pub type Places = BTreeMap<String, OneOrMany<Place>>;

/// A place that a value may stand at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, try_from = "PathOr<PlaceTable>")]
pub enum Place {
    /// A JSONPath (RFC 9535) that finds at most one value.
    Path(JsonPath),
    /// A value found by a path and then looked up in one of the definition's tables.
    Lookup {
        /// The path of the table's key.
        path: JsonPath,
        /// The table's name.
        table: String,
    },
    /// Some words of a text, such as the first name of a whole one.
    Words {
        /// The path of the text.
        path: JsonPath,
        /// Which words.
        words: Words,
    },
    /// Several texts as one, such as a whole name. Those that are not there are left out.
    Join {
        /// The paths of the texts.
        join: Vec<JsonPath>,
        /// What stands between them.
        with: String,
    },
}

/// Which words of a text, as white space parts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Words {
    /// The first one.
    First,
    /// All after the first.
    Rest,
    /// The last one, if there are others.
    Last,
    /// All before the last; the only one, if there are no others.
    Others,
}

impl Words {
    /// The words, one space between them; `None` if there are none.
    fn of(self, text: &str) -> Option<String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let last = words.len().saturating_sub(1);
        let chosen = match self {
            Self::First => words.get(..1)?,
            Self::Rest => words.get(1..)?,
            Self::Last => words.get(last.max(1)..)?,
            Self::Others => words.get(..last.max(1))?,
        };
        (!chosen.is_empty()).then(|| chosen.join(" "))
    }
}

/// A place that is more than a path, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceTable {
    path: Option<JsonPath>,
    table: Option<String>,
    words: Option<Words>,
    join: Option<Vec<JsonPath>>,
    with: Option<String>,
}

impl TryFrom<PathOr<PlaceTable>> for Place {
    type Error = &'static str;
    fn try_from(place: PathOr<PlaceTable>) -> Result<Self, Self::Error> {
        match place {
            PathOr::Path(path) => Ok(Self::Path(path)),
            PathOr::Table(PlaceTable { path: Some(path), table: Some(table), words: None, join: None, with: None }) => {
                Ok(Self::Lookup { path, table })
            }
            PathOr::Table(PlaceTable { path: Some(path), table: None, words: Some(words), join: None, with: None }) => {
                Ok(Self::Words { path, words })
            }
            PathOr::Table(PlaceTable { path: None, table: None, words: None, join: Some(join), with }) => {
                Ok(Self::Join { join, with: with.unwrap_or_else(|| " ".to_owned()) })
            }
            PathOr::Table(_) => Err("a place is a path, { path, table }, { path, words } or { join, with }"),
        }
    }
}

/// One thing, or a list of them.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several, in the order in which they are tried.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What a value must be. Everything but integers and booleans is written as a text, money above all: it passes through no
/// float of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Any text.
    #[default]
    String,
    /// A text or a whole number, as a text: providers send ids as either.
    Identifier,
    /// A whole number that every JSON parser reads exactly (at most 2^53 - 1, either way), or a text of one.
    Integer,
    /// `true` or `false`, or a text of either.
    Boolean,
    /// A calendar day, `YYYY-MM-DD`; of a date with a time, the day as written.
    Date,
    /// An instant: RFC 3339 with an offset and up to nine digits of a second, or epoch seconds or milliseconds. Written
    /// in UTC.
    DateTime,
    /// An e-mail address: one `@` with something on either side and no white space. Written in lower case.
    Email,
    /// A word of the source's, looked up in `values`.
    Enum,
    /// An amount: a plain decimal as a text, or a JSON number of at most 15 digits, which is as far as a double is exact.
    /// Written as a text with two or more digits after the point.
    Decimal,
    /// A country: its code of two or three letters or its English short name (ISO 3166-1), or a word in `values`. Written
    /// as the two letters.
    Country,
    /// A currency's code (ISO 4217), or a word in `values`.
    Currency,
}

/// What to do where a field has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// The payload cannot be mapped.
    Reject,
    /// The field is null.
    Null,
    /// The field keeps the value that the record has; without one it takes its default, and else is null.
    Keep,
    /// The field takes its default.
    Default,
}

impl Fields {
    /// The fields by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.0.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// The field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Field> {
        self.0.get(name)
    }

    /// Whether the field is declared to tell something of a person.
    pub fn is_personal(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|field| field.personal)
    }

    /// The fields' values in a document. `previous` is what the record holds now, for fields that keep it.
    ///
    /// # Errors
    /// Every field that has none where it must, or one that is not what it must be.
    pub fn map(
        &self,
        document: &Value,
        previous: Option<&Value>,
        tables: &Tables,
    ) -> Result<Map<String, Value>, Problems> {
        let mut mapped = Map::new();
        let mut problems = Vec::new();
        for (name, field) in &self.0 {
            match field.value(name, field.from.as_slice(), document, previous, tables) {
                Ok(value) => drop(mapped.insert(name.clone(), value)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(mapped) } else { Err(Problems(problems)) }
    }

    /// The values of those fields that have other `places`. One that keeps what the record has is left out where it
    /// has no value there.
    pub(crate) fn map_at(
        &self,
        places: &Places,
        document: &Value,
        tables: &Tables,
    ) -> Result<Map<String, Value>, Problems> {
        let mut mapped = Map::new();
        let mut problems = Vec::new();
        for (name, field) in &self.0 {
            let Some(places) = places.get(name).map(OneOrMany::as_slice) else { continue };
            let says = |place: &Place| matches!(place.find(document, tables), Found::Value(_) | Found::Several(_));
            if field.on_missing() == OnMissing::Keep && !places.iter().any(says) {
                continue;
            }
            match field.value(name, places, document, None, tables) {
                Ok(value) => drop(mapped.insert(name.clone(), value)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(mapped) } else { Err(Problems(problems)) }
    }

    /// Canonical values that were `listed`, over those that are `held`. Where neither has one, or the listing shows that
    /// there is none, it is as if the document had none. Problems come beside the fields that have none.
    pub(crate) fn completed(
        &self,
        listed: &Map<String, Value>,
        held: Option<&Value>,
        tables: &Tables,
    ) -> (Map<String, Value>, Vec<Problem>) {
        let mut fields = held.and_then(Value::as_object).cloned().unwrap_or_default();
        fields.extend(listed.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut problems = Vec::new();
        for (name, field) in &self.0 {
            let stated = fields.get(name).filter(|value| !is_blank(value));
            let value = match stated {
                Some(value) => field.canonical_value(name, value),
                None => field.value(name, &[], &Value::Null, held, tables),
            };
            match value {
                Ok(value) => drop(fields.insert(name.clone(), value)),
                Err(problem) => {
                    fields.remove(name);
                    problems.push(problem);
                }
            }
        }
        (fields, problems)
    }

    /// What is wrong with other places of the fields of a record of `kind`.
    pub(crate) fn places_faults(&self, places: &Places, kind: Kind, tables: &Tables) -> Vec<String> {
        let faults = |(name, from): (&String, &OneOrMany<Place>)| match self.0.get(name) {
            _ if name == kind.id_field() => vec![format!("fields: {name} is said by `id`")],
            None => vec![format!("fields: {name} is no field of the record's")],
            Some(_) if from.as_slice().is_empty() => vec![format!("fields: {name} names no place")],
            Some(field) if field.type_ == FieldType::Enum && field.values.is_empty() => {
                vec![format!("fields: {name} is an enum without `values`")]
            }
            Some(_) => missing_tables(from, tables).map(|fault| format!("fields: {name}: {fault}")).collect(),
        };
        places.iter().flat_map(faults).collect()
    }

    /// What is wrong with the declarations themselves, whatever they map to.
    pub(crate) fn faults(&self, tables: &Tables) -> Vec<String> {
        self.0
            .iter()
            .flat_map(|(name, field)| field.faults(tables).into_iter().map(move |fault| format!("{name}: {fault}")))
            .collect()
    }

    /// What keeps the declarations from making a canonical record of `kind`.
    pub(crate) fn canonical_faults(&self, kind: Kind) -> Vec<String> {
        let mut faults: Vec<_> = self
            .0
            .keys()
            .filter(|name| kind.field(name).is_none())
            .map(|name| format!("{name}: a {kind} has no such field"))
            .collect();
        for canonical in kind.fields() {
            match self.0.get(canonical.name) {
                None if canonical.required => faults.push(format!("{}: a {kind} must have it", canonical.name)),
                None => {}
                Some(field) => {
                    if canonical.required && !field.always_has_a_value() {
                        faults.push(format!("{}: it must be required, or have a default", canonical.name));
                    }
                    if !field.can_hold(canonical.holds) {
                        faults.push(format!("{}: its type does not fit a {kind}", canonical.name));
                    }
                }
            }
        }
        faults
    }
}

impl Field {
    pub(crate) fn on_missing(&self) -> OnMissing {
        self.on_missing.unwrap_or(match (self.required, &self.default) {
            (true, _) => OnMissing::Reject,
            (false, Some(_)) => OnMissing::Default,
            (false, None) => OnMissing::Null,
        })
    }

    pub(crate) fn always_has_a_value(&self) -> bool {
        match self.on_missing() {
            OnMissing::Reject | OnMissing::Default => true,
            OnMissing::Keep => self.default.is_some(),
            OnMissing::Null => false,
        }
    }

    fn can_hold(&self, holds: Holds) -> bool {
        match holds {
            Holds::Date => self.type_ == FieldType::Date,
            Holds::Decimal => self.type_ == FieldType::Decimal,
            Holds::Currency => self.type_ == FieldType::Currency,
            Holds::Country => self.type_ == FieldType::Country,
            Holds::Text => !matches!(self.type_, FieldType::Integer | FieldType::Boolean),
            Holds::OneOf(words) => {
                let fits = |word: &str| words.contains(&word);
                self.type_ == FieldType::Enum
                    && self.values.values().all(|word| fits(word))
                    && self.default.as_ref().is_none_or(|value| value.as_str().is_some_and(fits))
            }
        }
    }

    fn faults(&self, tables: &Tables) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is: bool, text: &str| is.then(|| faults.push(text.to_owned()));
        fault(
            self.from.as_slice().is_empty() && self.default.is_none(),
            "`from` names no place and there is no default",
        );
        fault(
            self.type_ == FieldType::Enum && self.values.is_empty() && !self.from.as_slice().is_empty(),
            "an enum needs `values`",
        );
        let with_words = matches!(self.type_, FieldType::Enum | FieldType::Country | FieldType::Currency);
        fault(!with_words && !self.values.is_empty(), "`values` goes with the types enum, country and currency");
        fault(self.required && self.default.is_some(), "`required` and `default` exclude each other");
        fault(
            self.required && self.on_missing.is_some_and(|what| what != OnMissing::Reject),
            "`required` rejects what is missing",
        );
        fault(
            self.on_missing == Some(OnMissing::Default) && self.default.is_none(),
            "on_missing = \"default\" needs a `default`",
        );
        fault(
            !self.required
                && self.default.is_some()
                && matches!(self.on_missing, Some(OnMissing::Reject | OnMissing::Null)),
            "the `default` is never used: on_missing says otherwise",
        );
        fault(
            self.default.as_ref().is_some_and(|default| self.default_value(default).is_none()),
            "the default is not of the field's type",
        );
        let joins_nothing = |place: &Place| matches!(place, Place::Join { join, .. } if join.is_empty());
        fault(self.from.as_slice().iter().any(joins_nothing), "`join` names no place");
        faults.extend(missing_tables(&self.from, tables));
        faults
    }

    /// The default as a value that is found would be written, so that both look alike to whoever reads on.
    fn default_value(&self, default: &Value) -> Option<Value> {
        match self.type_ {
            // One of our words, not of the source's.
            FieldType::Enum => default.is_string().then(|| default.clone()),
            type_ => type_.read(default, &self.values).ok(),
        }
    }

    /// A value that was mapped before, in the form of the field's type. Of an enum, it is one of our words already.
    fn canonical_value(&self, name: &str, value: &Value) -> Result<Value, Problem> {
        match self.type_ {
            FieldType::Enum => Ok(value.clone()),
            type_ => {
                type_.read(value, &self.values).map_err(|wanted| Problem::new(name, Shape::of(Some(value)), wanted))
            }
        }
    }

    /// A value as this field would have been written, if it is of the field's type; else as it is. Of an enum, it is one
    /// of our words already.
    pub(crate) fn as_written(&self, value: &Value) -> Value {
        match self.type_ {
            FieldType::Enum => value.clone(),
            type_ => type_.read(value, &self.values).unwrap_or_else(|_| value.clone()),
        }
    }

    /// The field's value, where it stands in one of `places`.
    pub(crate) fn value(
        &self,
        name: &str,
        places: &[Place],
        document: &Value,
        previous: Option<&Value>,
        tables: &Tables,
    ) -> Result<Value, Problem> {
        let mut missing = (Shape::Missing, Cow::Borrowed(self.type_.wanted()));
        for place in places {
            match place.find(document, tables) {
                Found::Value(value) => {
                    return self
                        .type_
                        .read(&value, &self.values)
                        .map_err(|wanted| Problem::new(name, Shape::of(Some(&value)), wanted));
                }
                Found::Several(count) => return Err(Problem::new(name, Shape::Array(count), "a single value")),
                // A later place, or `on_missing`, may still help. What is told is the first thing that was there.
                Found::Nothing(shape) if missing.0 == Shape::Missing => missing.0 = shape,
                Found::Nothing(_) => {}
                Found::Unlisted(shape, table) => {
                    if matches!(missing.0, Shape::Missing | Shape::Null) {
                        missing = (shape, format!("a key of the table {table}").into());
                    }
                }
            }
        }
        let default = || self.default.as_ref().and_then(|default| self.default_value(default)).unwrap_or(Value::Null);
        match self.on_missing() {
            OnMissing::Reject => Err(Problem::new(name, missing.0, missing.1)),
            OnMissing::Null => Ok(Value::Null),
            OnMissing::Default => Ok(default()),
            OnMissing::Keep => {
                let held = previous.and_then(|fields| fields.get(name)).filter(|value| !value.is_null());
                Ok(held.cloned().unwrap_or_else(default))
            }
        }
    }
}

/// What is wrong with places that are looked up.
fn missing_tables<'a>(from: &'a OneOrMany<Place>, tables: &'a Tables) -> impl Iterator<Item = String> + 'a {
    from.as_slice().iter().filter_map(|place| match place {
        Place::Lookup { table, .. } if !tables.contains_key(table) => Some(format!("there is no table {table:?}")),
        _ => None,
    })
}

/// What stands at a place.
pub(crate) enum Found<'a> {
    Value(Value),
    Several(usize),
    Nothing(Shape),
    /// Something that the table, which is named, does not list.
    Unlisted(Shape, &'a str),
}

impl Place {
    /// The members of a document's top that it names, if it is as plain as that.
    pub(crate) fn members(&self) -> Option<Vec<String>> {
        let member = |path: &JsonPath| {
            let text = path.to_string();
            let name = text.strip_prefix("$.").or_else(|| text.strip_prefix("$['")?.strip_suffix("']"))?;
            Some(name.to_owned())
        };
        match self {
            Self::Path(path) | Self::Lookup { path, .. } | Self::Words { path, .. } => Some(vec![member(path)?]),
            Self::Join { join, .. } => join.iter().map(member).collect(),
        }
    }

    /// What stands there. Null and blank texts are nothing.
    pub(crate) fn find(&self, document: &Value, tables: &Tables) -> Found<'_> {
        match self {
            Self::Path(path) => single(path, document),
            Self::Lookup { path, table } => match single(path, document) {
                Found::Value(value) => {
                    let entry = tables.get(table).zip(identifier(&value)).and_then(|(table, key)| table.get(&key));
                    match entry {
                        Some(text) => Found::Value(Value::from(text.as_str())),
                        None => Found::Unlisted(Shape::of(Some(&value)), table),
                    }
                }
                found => found,
            },
            Self::Words { path, words } => match single(path, document) {
                // What is no text is told by the field's type.
                Found::Value(Value::String(text)) => match words.of(&text) {
                    Some(words) => Found::Value(words.into()),
                    None => Found::Nothing(Shape::String(text.chars().count())),
                },
                found => found,
            },
            Self::Join { join, with } => {
                let mut texts = Vec::new();
                for path in join {
                    match single(path, document) {
                        Found::Value(value) => match identifier(&value) {
                            Some(text) => texts.push(text.trim().to_owned()),
                            None => return Found::Value(value),
                        },
                        Found::Several(count) => return Found::Several(count),
                        Found::Nothing(_) | Found::Unlisted(..) => {}
                    }
                }
                if texts.is_empty() { Found::Nothing(Shape::Missing) } else { Found::Value(texts.join(with).into()) }
            }
        }
    }
}

/// The one value that a path finds. Null and blank texts are nothing.
pub(crate) fn single<'a>(path: &JsonPath, document: &Value) -> Found<'a> {
    let nodes = path.query(document);
    match nodes.len() {
        0 => Found::Nothing(Shape::Missing),
        1 => match nodes.first().filter(|value| !is_blank(value)) {
            Some(value) => Found::Value(value.clone()),
            None => Found::Nothing(Shape::of(nodes.first())),
        },
        several => Found::Several(several),
    }
}

impl FieldType {
    /// What a value of the type is, in words.
    fn wanted(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Identifier => "an id: a text or a whole number",
            Self::Integer => "a whole number of at most 2^53 - 1",
            Self::Boolean => "true or false",
            Self::Date => "a day, YYYY-MM-DD",
            Self::DateTime => "a time, RFC 3339 with an offset, or epoch seconds or milliseconds",
            Self::Email => "an e-mail address",
            Self::Enum => "one of the declared words",
            Self::Decimal => "an amount: a plain decimal as a text, or a number of at most 15 digits",
            Self::Country => "a country: its code or English name (ISO 3166-1)",
            Self::Currency => "a currency's code (ISO 4217)",
        }
    }

    /// The value in the type's own form, or what was wanted.
    pub(crate) fn read(self, value: &Value, words: &BTreeMap<String, String>) -> Result<Value, String> {
        let text = value.as_str().map(str::trim);
        let read = match self {
            Self::String => value.as_str().map(Value::from),
            Self::Identifier => identifier(value).map(Value::from),
            Self::Integer => value.as_i64().or_else(|| text?.parse().ok()).filter(is_exact).map(Value::from),
            Self::Boolean => value.as_bool().or_else(|| text?.parse().ok()).map(Value::from),
            Self::Date => text.and_then(date).map(|date| Value::from(date.to_string())),
            Self::DateTime => {
                identifier(value).and_then(|text| time(text.trim())).map(|at| Value::from(at.to_string()))
            }
            Self::Email => text.and_then(email).map(Value::from),
            Self::Enum => word(value).and_then(|word| words.get(&word)).map(|word| Value::from(word.as_str())),
            Self::Decimal => match value {
                Value::Number(number) => decimal::of_number(number).map(Value::from),
                _ => text.and_then(decimal::canonical).map(Value::from),
            },
            Self::Country => text.and_then(|text| country(renamed(words, text))).map(Value::from),
            Self::Currency => {
                text.and_then(|text| currency(words.get(text).map_or(text, String::as_str))).map(Value::from)
            }
        };
        read.ok_or_else(|| match self {
            Self::Enum => format!("one of {}", words.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
            _ => self.wanted().to_owned(),
        })
    }
}

/// A text or a whole number, as a text. A number with a fraction, or too large to be read exactly, is neither.
pub(crate) fn identifier(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// The one value that a path finds, if it finds one and no more.
pub(crate) fn only<'a>(path: &JsonPath, value: &'a Value) -> Option<&'a Value> {
    path.query(value).at_most_one().ok()?
}

/// The record's id that a path finds, if it can be one.
pub(crate) fn record_id(path: &JsonPath, value: &Value) -> Option<RecordId> {
    identifier(only(path, value)?)?.parse().ok()
}

/// Whether a value says nothing: null, or a text of white space.
pub(crate) fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Whether canonical JSON, whose numbers are doubles, tells this number from its neighbours.
fn is_exact(number: &i64) -> bool {
    number.unsigned_abs() < 1 << 53
}

fn word(value: &Value) -> Option<String> {
    identifier(value).or_else(|| value.as_bool().map(|b| b.to_string()))
}

/// A day, or the day that a date with a time is written with.
fn date(text: &str) -> Option<Date> {
    let (day, time) = text.split_at_checked(10)?;
    let date = day.parse().ok()?;
    (time.is_empty() || text.parse::<DateTime>().is_ok() || text.parse::<Timestamp>().is_ok()).then_some(date)
}

/// What a country's name stands for here, however it is capitalised; else the name.
fn renamed<'a>(words: &'a BTreeMap<String, String>, text: &'a str) -> &'a str {
    let named = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map_or(text, |(_, code)| code.as_str())
}

/// The two letters of a country.
fn country(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let named = || rust_iso3166::ALL.iter().find(|country| country.name.eq_ignore_ascii_case(text)).copied();
    let country = match upper.len() {
        2 => rust_iso3166::from_alpha2(&upper),
        3 => rust_iso3166::from_alpha3(&upper),
        _ => None,
    };
    Some(country.or_else(named)?.alpha2)
}

fn currency(text: &str) -> Option<&'static str> {
    Some(iso_currency::Currency::from_code(&text.to_ascii_uppercase())?.code())
}

fn email(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let fits = !local.is_empty() && !domain.is_empty() && !domain.contains('@') && text.len() <= 254;
    (fits && !text.chars().any(|c| c.is_whitespace() || c.is_control())).then(|| text.to_lowercase())
}
