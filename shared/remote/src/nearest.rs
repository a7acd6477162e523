//! Which locations somebody may have meant.

use std::collections::BTreeMap;

/// How many are named.
const MOST: usize = 3;
/// How alike two texts must be to be worth a word, from 0 to 1.
const ALIKE: f64 = 0.6;
/// The longest name that is repeated, in characters.
const LONGEST: usize = 60;

/// Those of `names`, by their ids, whose id or name comes nearest to `wanted`: as `id (name)`, the nearest first.
pub(crate) fn nearest(names: &BTreeMap<String, String>, wanted: &str) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let alike = |text: &str| strsim::jaro_winkler(&text.to_lowercase(), &wanted);
    let mut near: Vec<_> = names
        .iter()
        .map(|(id, name)| (alike(id).max(alike(name)), id, name))
        .filter(|(alike, ..)| *alike >= ALIKE)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    near.into_iter().take(MOST).map(|(_, id, name)| shown(id, name)).collect()
}

fn shown(id: &str, name: &str) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
    if name.is_empty() { plain(id) } else { format!("{} ({})", plain(id), plain(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_by_id_or_name() {
        let names = [("loc_london", "London Bridge"), ("loc_lyon", ""), ("x7", "Lisbon"), ("y8", "Rome")];
        let names: BTreeMap<_, _> = names.into_iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect();
        assert_eq!(nearest(&names, "loc_londn")[0], "loc_london (London Bridge)");
        assert_eq!(nearest(&names, "lisboa")[0], "x7 (Lisbon)");
        assert_eq!(nearest(&names, "LOC_LYON")[0], "loc_lyon");
        assert!(nearest(&names, "loc_").len() <= MOST);
        assert_eq!(nearest(&names, "zzzz"), [""; 0]);
    }
}
