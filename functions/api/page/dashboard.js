// The dashboard: reads the API with the key that a person gives, and shows it. Nothing here builds HTML out of text:
// `h` makes elements and text nodes, so whatever a record or an event says is shown and never run.
//
//   address (#/records/..) --route--> view --load--> answers --render--> elements --patch--> the page
//
// Every half minute that is done again, and `patch` changes only what differs: scroll, focus and open details stay.

(() => {
'use strict';

const VERSION = '1';
const EVERY = 30;
const SOON = 3;
const LIMIT = 25;
const KINDS = { certificate: 'Certificates', location: 'Locations', customer: 'Customers', invoice: 'Invoices' };
const at = id => document.getElementById(id);
const enc = encodeURIComponent;

// ---- Elements

const SVG = new Set(['svg', 'rect', 'title']);

/// An element: attributes, if the first part is an object of them, and children. What is null or false is left out.
function h(tag, ...children) {
	const element = SVG.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
	const attributes = children[0]?.constructor === Object ? children.shift() : {};
	for (const [name, value] of Object.entries(attributes)) {
		if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
	}
	element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
	return element;
}
const [p, small, strong, code, em, li, label] = ['p', 'small', 'strong', 'code', 'em', 'li', 'label'].map(tag => (...children) => h(tag, ...children));
const buttons = (...children) => p({ class: 'buttons' }, ...children);
const link = (href, ...text) => h('a', { href }, ...text);
const button = (action, text, data = {}, main = false) => h('button', {
	type: 'button', 'data-do': action, class: main && 'main', ...data,
}, text);
const mark = (tone, text) => h('span', { class: `mark ${tone}` }, text);
const said = value => value === null || value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
const words = value => said(value).replaceAll('_', ' ');

/// Makes one tree like another, and touches only what differs. Rows are told apart by `data-key`.
function patch(old, fresh) {
	for (const { name } of [...old.attributes]) {
		if (!fresh.hasAttribute(name) && !(name === 'open' && old.localName === 'details')) old.removeAttribute(name);
	}
	for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
	const key = node => node.dataset?.key;
	const wanted = new Set([...fresh.children].map(key).filter(Boolean));
	const kept = new Map();
	for (const child of [...old.children]) {
		if (key(child) && !wanted.has(key(child))) child.remove();
		else if (key(child)) kept.set(key(child), child);
	}
	let place = old.firstChild;
	for (const next of [...fresh.childNodes]) {
		const same = key(next) ? kept.get(key(next)) : place;
		const alike = same && same.nodeName === next.nodeName && key(same) === key(next);
		if (!alike) { old.insertBefore(next, place); continue; }
		if (same !== place) old.insertBefore(same, place);
		place = same.nextSibling;
		if (same.nodeType === Node.TEXT_NODE) { if (same.data !== next.data) same.data = next.data; }
		else if (same.localName !== 'textarea') patch(same, next);
	}
	while (place) { const gone = place; place = place.nextSibling; gone.remove(); }
}

// ---- Times and numbers

/// How far the server's clock is ahead of this one, in milliseconds.
let ahead = 0;
const now = () => Date.now() + ahead;
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const number = value => typeof value === 'number' ? value.toLocaleString('en') : said(value);
const count = (many, one, more = `${one}s`) => `${number(many)} ${many === 1 ? one : more}`;

function inLargest(seconds) {
	for (const [unit, size] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
		if (Math.abs(seconds) >= size * (unit === 'minute' ? 1 : 1.5)) return [Math.round(seconds / size), unit];
	}
	return [Math.round(seconds), 'second'];
}
const ago = iso => {
	const seconds = (Date.parse(iso) - now()) / 1000;
	return Math.abs(seconds) < 5 ? 'just now' : relative.format(...inLargest(seconds));
};
const lasting = seconds => count(...inLargest(Math.max(0, seconds)));
/// A time in words, with the exact one beside it.
const time = (iso, none = 'never') => iso && !Number.isNaN(Date.parse(iso))
	? h('time', { datetime: iso, title: iso, 'data-ago': '' }, ago(iso)) : none;
const short = hash => code({ title: hash }, `${said(hash).slice(0, 12)}…`);

// ---- Pieces of a view

const facts = pairs => h('dl', { class: 'facts' }, pairs.filter(Boolean).map(([name, ...value]) => [h('dt', name), h('dd', ...value)]));
const figures = list => h('dl', { class: 'figures' }, list.map(([name, value, more]) =>
	h('div', h('dt', name), h('dd', value, more && small(more)))));
const notice = (tone, ...children) => h('div', { class: `notice ${tone}` }, ...children);
const section = (title, ...children) => h('section', { 'aria-label': title }, h('h2', title), ...children);

/// A table in a region of its own that scrolls. Columns: `[heading, cell, class]`; the first cell heads its row.
function table(caption, columns, rows, key, wide = true) {
	return h('div', { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: wide ? '0' : null },
		h('table', { class: wide && 'wide' }, h('caption', caption),
			h('thead', h('tr', columns.map(([name, , kind]) => h('th', { scope: 'col', class: kind }, name)))),
			h('tbody', rows.map((row, index) => h('tr', { 'data-key': key?.(row) }, columns.map(([, cell, kind], place) =>
				h(place === 0 ? 'th' : 'td', { scope: place === 0 ? 'row' : null, class: kind }, cell(row, index))))))));
}

/// Counts with a bar each: the table is the chart in words.
function bars(caption, rows, name) {
	const most = Math.max(1, ...rows.map(row => row.records));
	const bar = row => h('svg', { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
		h('rect', { width: Math.max(row.records ? 1 : 0, 100 * row.records / most), height: 8 }));
	return table(caption, [['Name', name], ['Count', row => number(row.records), 'number'], ['Chart', bar, 'chart']], rows, null, false);
}

function fault(of, what) {
	if (of.status === 403) {
		return notice('', p(strong(`Your key may not see ${what}.`)), p(of.detail ?? of.title, of.scope && ` It needs the scope ${of.scope}.`));
	}
	const again = of.retry ? ` It is tried again in ${lasting(of.retry)}.` : '';
	const stale = of.stale ? p('What stands here is what was last read, ', time(of.stale), '.') : null;
	if (of.status === 0) return notice('bad', p(strong('The server cannot be reached.'), ' Is the network there?', again), stale);
	const title = of.status === 404 ? `There is no such thing: ${what}.` : of.status === 429 ? 'That was too much at once.'
		: of.status >= 500 ? `The server cannot tell ${what} right now.` : of.title;
	return notice('bad', p(strong(title), ` ${of.detail ?? ''}${again}`), stale,
		of.errors?.length ? faults(of.errors) : null);
}
const faults = list => table('What is wrong, field by field', [
	['Field', one => one.field], ['Found', one => one.found], ['Wanted', one => one.wanted]], list, null, true);

/// What was loaded, below what is wrong.
const shown = (answer, what, render) => [answer.fault && fault(answer.fault, what), answer.data && render(answer.data)];

const pager = (route, cursor, older = 'Next page') => p({ class: 'buttons pages' },
	route.query.get('cursor') && link(address(route.path, { ...Object.fromEntries(route.query), cursor: '' }), 'First page'),
	cursor && link(address(route.path, { ...Object.fromEntries(route.query), cursor }), older));

/// A list's path in the API, with the page that the address asks for.
const paged = (path, query, more = {}) =>
	`${path}?${new URLSearchParams(Object.entries({ ...more, limit: LIMIT, cursor: query.get('cursor') }).filter(([, value]) => value))}`;
function address(path, query = {}) {
	const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
	return `#/${path}${given.size ? `?${given}` : ''}`;
}
const recordAddress = (kind, source, id) => `records/${enc(kind)}/${enc(source)}/${enc(id)}`;
function recordLink(name) {
	const [, kind, source, id] = /^([^#]*)#([^#]*)#([^]*)$/.exec(name ?? '') ?? [];
	return kind ? link(address(recordAddress(kind, source, id)), `${kind} ${id}`, small(` of ${source}`)) : '–';
}
const pre = (label, value) => h('pre', { tabindex: '0', role: 'region', 'aria-label': label }, JSON.stringify(value, null, 2));

// ---- The API

let key = null;
/// What was read: path to `{etag, data, at}`.
const kept = new Map();
const KEPT = 60;

class Refused extends Error {
	constructor(members) { super(members.title); Object.assign(this, members); }
}

async function call(method, path, { body, headers = {}, raw = false } = {}) {
	if (body !== undefined) headers['content-type'] = 'application/json';
	let response;
	try {
		response = await fetch(path, {
			method, headers: { authorization: `Bearer ${key}`, ...headers }, body: body === undefined ? undefined : JSON.stringify(body),
			cache: 'no-store', credentials: 'omit', redirect: 'manual', signal: AbortSignal.timeout(40000),
		});
	} catch {
		throw new Refused({ status: 0, title: 'The server cannot be reached.' });
	}
	const date = Date.parse(response.headers.get('date'));
	if (!Number.isNaN(date) && Math.abs(date - now()) > 2000) ahead = date - Date.now();
	if (response.type === 'opaqueredirect') throw new Refused({ status: 303, title: 'It is too large for this page.' });
	const version = response.headers.get('certbridge-version');
	if (version ? version !== VERSION : response.ok) {
		throw new Refused({ status: 1, title: `This page speaks version ${VERSION} of the API, and the server ${version ? `version ${version.slice(0, 20)}` : 'names none'}.`, detail: 'Load the page again.' });
	}
	if (response.ok && raw) return response;
	if (response.status === 304) return { status: 304 };
	const data = await response.json().catch(() => null);
	if (response.ok && data !== null) return { data, etag: response.headers.get('etag') };
	const wait = Number.parseInt(response.headers.get('retry-after'), 10);
	throw new Refused({
		status: response.ok ? 500 : response.status, title: said(data?.title ?? data?.message ?? `The answer was ${response.status}.`),
		detail: data?.detail && said(data.detail), errors: Array.isArray(data?.errors) ? data.errors : null,
		retry: wait > 0 ? Math.min(wait, 3600) : null,
	});
}

/// Reads: `{data, fault}`. What was read before is told when the server has nothing newer, or cannot be asked.
async function get(path, scope = 'records:read') {
	const before = kept.get(path);
	try {
		const answer = await call('GET', path, { headers: before?.etag ? { 'if-none-match': before.etag } : {} });
		const data = answer.status === 304 ? before.data : answer.data;
		if (kept.size > KEPT) kept.clear();
		kept.set(path, { data, etag: answer.etag ?? before?.etag, at: new Date(now()).toISOString() });
		return { data };
	} catch (error) {
		if (!(error instanceof Refused) || error.status === 401) throw error;
		if (error.status === 403) error.scope = scope;
		if (error.retry) wait = Math.max(wait, error.retry);
		const stale = before && [0, 429, 500, 502, 503, 504].includes(error.status);
		if (stale) error.stale = before.at;
		return { fault: error, data: stale ? before.data : undefined };
	}
}

// ---- The views

const views = {};

views.overview = {
	name: 'Overview', title: () => 'Overview',
	load: async () => {
		const [summary, batches, proof, mappings, locations] = await Promise.all([
			get('summary'), get('batches?limit=30'), get('audit/checkpoints?limit=1', 'audit:read'), get('mappings'), get('locations')]);
		return { summary, batches, proof, mappings, locations };
	},
	render: ({ summary, batches, proof, mappings, locations }) => {
		const names = new Map((locations.data?.locations ?? []).map(({ id, name }) => [id, name]));
		return [
			shown(summary, 'the numbers', data => verdict(data, batches.data, mappings.data, locations.data)),
			section('Comparisons of both sides', shown(batches, 'the batches', data => comparisons(data.batches))),
			section('Proof of the audit trail', shown(proof, 'the audit trail', data => proofState(data.checkpoints[0])),
				proof.data && p(link('#/audit', 'All checkpoints'))),
			summary.data && section('What there is', totals(summary.data, names)),
		];
	},
};

const LATE = 300;
function verdict(summary, batches, mappings, locations) {
	const { events, kinds } = summary;
	const people = events.quarantined + events.failed;
	const late = events.oldest_pending_at ? (Date.parse(summary.at) - Date.parse(events.oldest_pending_at)) / 1000 : 0;
	const last = batches?.batches.find(batch => batch.summary || batch.status === 'failed');
	const worries = [];
	const worry = (tone, ...text) => worries.push({ tone, text });
	if (people) worry('bad', `${count(people, 'delivery needs', 'deliveries need')} a person. `, link(address('events', { state: events.quarantined ? 'quarantined' : 'failed' }), 'See why'));
	if (late > LATE) worry('bad', `Deliveries are late: the oldest should have been tried ${lasting(late)} ago. `, link(address('events', { state: 'pending' }), 'See which'));
	if (last?.status === 'failed' || ['needs_person', 'failed'].includes(last?.summary?.verdict)) worry('warn', 'The last comparison needs a person. ', link(`#/batches/${enc(last.batch_id)}`, 'See the batch'));
	if (mappings?.broken.length) worry('bad', `${count(mappings.broken.length, 'definition is', 'definitions are')} broken. `, link('#/mappings', 'See which'));
	if (locations?.scope === 'missing') worry('bad', `Our key at ${locations.destination} lacks ${said(locations.lacks)}.`);
	const records = kinds.reduce((sum, kind) => sum + kind.records, 0);
	const synced = kinds.map(kind => kind.last_synced_at).filter(Boolean).sort((a, b) => Date.parse(a) - Date.parse(b)).at(-1);
	const more = complete => complete ? '' : ' or more';
	const empty = !records && !worries.length && !events.pending;
	const [first, ...rest] = worries;
	return [
		h('section', { class: `state ${first?.tone ?? ''}`, 'aria-label': 'In a word' },
			h('h2', first ? ['Attention: ', ...first.text] : empty ? 'Nothing has been synced yet' : events.pending ? `In step, with ${count(events.pending, 'delivery', 'deliveries')} on the way` : 'Everything is in step'),
			rest.length ? h('ul', rest.map(({ text }) => li(...text))) : null,
			empty && [p('Send a first event, in the folder of Certbridge: ', code('certbridge test --source accredible'), ', or sync one record yourself: ', code('POST /certificates/100/sync'), '.')],
			!first && !empty && p('No delivery is late.')),
		figures([
			['Records in step', number(records) + more(summary.complete), kinds.filter(kind => kind.records).map(kind => count(kind.records, kind.kind)).join(', ')],
			['Last sync', time(synced)],
			['On the way', number(events.pending) + more(events.complete), events.pending ? late > 0 ? `the oldest is ${lasting(late)} past its time` : 'none is past its time' : 'nothing waits'],
			['For a person', people ? link(address('events', { state: events.quarantined ? 'quarantined' : 'failed' }), number(people)) : '0', people ? `${number(events.quarantined)} quarantined, ${number(events.failed)} failed` : 'no quarantine'],
		]),
		bars('Deliveries that are not settled', ['pending', 'quarantined', 'failed'].map(state => ({ name: state, records: events[state] })),
			row => link(address('events', { state: row.name }), row.name)),
		!(summary.complete && events.complete) && p(small('Not everything was counted: there is more.')),
	];
}

const VERDICTS = { clean: ['good', '✓ Clean'], repaired: ['good', '✓ Repaired'], needs_person: ['warn', '! Needs a person'], failed: ['bad', '✗ Failed'] };
function verdictOf(batch) {
	const [tone, text] = VERDICTS[batch.summary?.verdict] ?? (batch.status === 'failed' ? VERDICTS.failed : ['', words(batch.status)]);
	return mark(tone, batch.dry_run && text === '✓ Repaired' ? '! To repair' : text);
}

function comparisons(batches) {
	const done = batches.filter(batch => batch.summary && batch.mode === 'reconcile').slice(0, 30).reverse();
	if (!batches.length) return p('No comparison yet. One is made every night, or ', link('#/batches', 'start one now'), '.');
	return [
		done.length > 1 && trend(done),
		batchTable('The last batches', batches.slice(0, 5)), p(link('#/batches', 'All batches')),
	];
}

/// How many records differed, comparison by comparison.
function trend(batches) {
	const most = Math.max(...batches.map(batch => batch.summary.differing));
	const step = 300 / Math.max(batches.length, 10);
	const text = batches.map(batch => `${number(batch.summary.differing)}${['needs_person', 'failed'].includes(batch.summary.verdict) ? ' (needs a person)' : ''}`).join(', ');
	return h('figure',
		h('figcaption', small(`Drift: records that differed, in the last ${count(batches.length, 'comparison')}, the oldest first; at most ${number(most)}.`)),
		h('svg', { class: 'trend', role: 'img', 'aria-label': `The oldest first: ${text}`, viewBox: '0 0 300 60', preserveAspectRatio: 'none' },
			batches.map((batch, index) => {
				const height = Math.max(2, 58 * batch.summary.differing / (most || 1));
				const hot = ['needs_person', 'failed'].includes(batch.summary.verdict);
				return h('rect', { x: index * step + 1, y: 60 - height, width: step - 2, height, class: hot ? 'hot' : batch.summary.differing ? null : 'void' },
					h('title', `${batch.batch_id}: ${batch.summary.headline}`));
			})));
}

function proofState(checkpoint) {
	if (!checkpoint) return p('No checkpoint yet: one is made every day.');
	const old = now() - Date.parse(checkpoint.time) > 36 * 3600 * 1000;
	return [
		p(checkpoint.signed ? mark('good', '✓ Signed') : mark('warn', '! Not signed'), ' The last checkpoint was made ', time(checkpoint.time),
			` and covers ${count(checkpoint.rows, 'row')} in ${count(checkpoint.size, 'chain')}.`),
		!checkpoint.signed && p(small('The secret “audit” lacks a signing key.')),
		old && p(mark('warn', '! Old'), ' One is made every day: why not since?'),
	];
}

function totals(summary, names) {
	const some = summary.kinds.filter(kind => kind.records);
	if (!some.length) return p('No records yet.');
	return some.map(kind => {
		const to = query => address('records', { kind: kind.kind, ...query });
		const named = (field, word) => row => row.name === null ? em(`no ${word}`) : link(to({ [field]: row.name }), field === 'location_id' && names.get(row.name) || row.name);
		return [
			h('h3', link(to({}), KINDS[kind.kind] ?? kind.kind), ` `, small(number(kind.records), kind.complete ? '' : ' or more', ', the last ', time(kind.last_synced_at))),
			h('div', { class: 'columns' }, [['sources', 'source', 'source'], ['statuses', 'status', 'state'], ['locations', 'location_id', 'location']]
				.map(([list, field, word]) => bars(`${KINDS[kind.kind] ?? kind.kind} by ${word}`, [...kind[list]].sort((a, b) => b.records - a.records).slice(0, 12), named(field, word)))),
		];
	});
}

const tabs = (name, all, path, by, chosen) => h('ul', { class: 'tabs', 'aria-label': name }, Object.entries(all).map(([value, text]) =>
	li(h('a', { href: address(path, { [by]: value }), 'aria-current': chosen === value && 'page' }, text))));
const sourcesOf = mappings => (mappings?.plans ?? []).map(plan => plan.source);
const option = (value, text, chosen) => h('option', { value, selected: value === chosen }, text);
const field = (name, control) => label(name, control);

views.records = {
	name: 'Records', title: route => KINDS[route.query.get('kind') || 'certificate'] ?? 'Records',
	load: async ({ query }) => {
		const { kind, ...filters } = Object.fromEntries(query);
		const [page, mappings] = await Promise.all([get(paged(`records/${enc(kind || 'certificate')}`, query, filters)), get('mappings')]);
		return { page, mappings };
	},
	render: ({ page, mappings }, route) => {
		const chosen = route.query.get('kind') || 'certificate';
		const given = name => route.query.get(name) ?? '';
		const filtered = ['source', 'status', 'location_id', 'updated_since'].some(name => given(name));
		return [
			tabs('Kinds', KINDS, 'records', 'kind', chosen),
			h('form', { 'data-do': 'filter', 'aria-label': 'Filter' }, h('div', { class: 'row' },
				h('input', { type: 'hidden', name: 'kind', value: chosen }),
				field('Source', h('select', { name: 'source' }, option('', 'All', given('source')),
					[...new Set([...sourcesOf(mappings.data), ...(given('source') ? [given('source')] : [])])].map(name => option(name, name, given('source'))))),
				field('State', h('input', { name: 'status', value: given('status'), autocomplete: 'off', placeholder: 'issued' })),
				field('Location', h('input', { name: 'location_id', value: given('location_id'), autocomplete: 'off', placeholder: 'loc_london' })),
				field('Synced since', h('input', { type: 'datetime-local', name: 'updated_since', value: local(given('updated_since')) }))),
			buttons(h('button', { class: 'main' }, 'Filter'), filtered && link(address('records', { kind: chosen }), 'All of them'))),
			shown(page, 'the records', data => [
				data.records.length ? table(`${KINDS[chosen] ?? chosen}, the last synced first`, [
					['Id', row => link(address(recordAddress(row.kind, row.source, row.id)), row.id)], ['Source', row => row.source],
					['State', row => said(row.status)], ['Location', row => said(row.location_id)], ['Synced', row => time(row.synced_at)],
				], data.records, row => row.record)
					: data.next_cursor ? p('None on this page; there are more pages.')
						: p(filtered || route.query.get('cursor') ? 'Nothing matches.' : 'Nothing has been synced yet: send a first event.'),
				pager(route, data.next_cursor)]),
		];
	},
};
/// A time in this place's own time, for an input.
const local = iso => { const date = new Date(iso); return Number.isNaN(+date) ? '' : new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16); };

/// What a dry run said, of which record.
let wouldBe = null;

views.record = {
	under: 'records', title: ({ parts }) => `${parts[1]} ${parts[3]}`,
	load: async ({ parts, query }) => {
		const path = `records/${parts.slice(1).map(enc).join('/')}`;
		const [record, history] = await Promise.all([get(path), get(paged(`${path}/history`, query), 'audit:read')]);
		return { record, history };
	},
	render: ({ record, history }, route) => {
		const [, kind, source, id] = route.parts;
		const data = { 'data-kind': kind, 'data-source': source, 'data-id': id };
		return [
			p(`A ${kind} of ${source}. `, link(address('records', { kind }), `All ${(KINDS[kind] ?? 'records').toLowerCase()}`)),
			buttons(button('sync', 'Sync now', data, true), button('try', 'What would change', data)),
			wouldBe?.address === route.path && section('What would change', changed(wouldBe.data)),
			section('As it stands', shown(record, `${kind} ${id}`, recordState)),
			section('What happened', shown(history, 'its history', data => historyOf(data, route))),
		];
	},
};

function recordState(record) {
	return [
		[[record.in_progress, 'Somebody works on it right now.', 'It may change in a moment.'],
			[record.in_doubt, 'It is in doubt.', 'The destination may have been told what is not on record; it is told anew.'],
			[record.plan && !record.plan_in_force, 'It was mapped by a plan that is no longer in force.', 'The next sync maps it anew.'],
			[record.erased, 'It was erased.', 'Its trail stays.'],
			[record.held, 'A legal hold is on it.', 'It cannot be erased.']].map(([is, what, more]) => is && notice('', p(strong(what), ` ${more}`))),
		facts([
			['State', said(record.status)], ['Location', said(record.location_id)],
			['Synced', time(record.synced_at)], ['Fetched from its source', time(record.fetched_at)],
			record.plan && ['Plan', code(record.plan), record.plan_in_force ? ', in force' : ', not in force'],
			['Audit chain', count(record.audit.sequence, 'row'), ', ending in ', short(record.audit.hash)]]),
		table('Fields', [['Field', row => row[0]], ['Value', row => row[1]]],
			[...Object.entries(record.fields).map(([name, value]) => [name, said(value)]),
				...record.withheld.map(name => [name, em('withheld: it is personal')])], row => row[0], false),
	];
}

const changed = result => [
	p(strong(result.dry_run ? result.pushed ? 'The destination would be told.' : 'The destination would not be told.' : result.pushed ? 'The destination was told.' : 'The destination was not told.'), ` Outcome: ${OUTCOMES[result.outcome] ?? words(result.outcome)}.`),
	result.changes.length ? changes(result.changes) : p('No field would change.'),
];
const value = of => typeof of === 'string' && of.startsWith('digest:') ? em({ title: of }, `withheld (${of.slice(7, 15)}…)`) : said(of);
const changes = list => table('What changed', [['Field', one => one.field], ['Before', one => value(one.before)], ['After', one => value(one.after)]], list, one => one.field, false);

const OUTCOMES = {
	synced: 'synced', unchanged: 'nothing to change', superseded: 'a newer state is known', covered: 'already read with a later fetch',
	audited: 'noted, nothing to tell', deleted: 'no longer at the source',
};
function who({ actor, cause }) {
	if (actor.type === 'source') return `${said(actor.name)}${actor.on_behalf_of ? `, for ${said(actor.on_behalf_of)},` : ''} sent ${said(cause.event_type ?? 'an event')}`;
	if (actor.type === 'caller') return `${said(actor.owner)} ${cause.type === 'event' ? `ran ${said(cause.event_type)} again` : cause.type === 'batch' ? 'asked for a batch' : 'asked for a sync'}`;
	if (actor.type === 'operator') return `${said(actor.name)} ran ${said(cause.name)}`;
	if (actor.type === 'reconciliation') return 'Both sides were compared';
	if (actor.type === 'recovery') return 'Certbridge made sure, after an interrupted push';
	return words(actor.type);
}

function historyOf(history, route) {
	const { chain } = history;
	return [
		(history.entries.length || !chain.holds) && p(chain.holds ? mark('good', '✓ The chain holds') : mark('bad', '✗ The chain is broken'),
			chain.holds ? ' on this page: each row is as written and names the one before.' : ` ${said(chain.fault)}`),
		history.open.length ? [h('h3', 'Not settled'), eventTable('Deliveries of this record that are not settled', history.open, false)] : null,
		!history.open_complete && p(small('There may be more.')),
		history.entries.length ? h('ol', { class: 'timeline' }, history.entries.map(entry)) : p('Nothing is on record.'),
		pager(route, history.next_cursor, 'Older entries'),
	];
}

function entry({ row, delivery }) {
	const told = row.action === 'pushed';
	return li({ 'data-key': String(row.sequence) },
		h('h3', who(row)),
		p(small(time(row.time), ` · row ${number(row.sequence)}`)),
		p(`${told ? '→ The destination was told' : '○ The destination was not told'}: ${OUTCOMES[row.outcome] ?? words(row.outcome)}.`),
		row.changes.length ? changes(row.changes) : null,
		delivery && p(small(`Delivery ${delivery.event}, received `, time(delivery.received_at), `, proven by key ${delivery.proven_by}`,
			delivery.attempt ? `, after ${count(delivery.attempt, 'failed attempt')}` : '', delivery.reason ? `: ${delivery.reason}` : '', '.')),
		h('details', h('summary', `Details of row ${row.sequence}`), facts([
			['Cause', words(row.cause.type), row.cause.id ? [' ', row.cause.type === 'batch' ? link(`#/batches/${enc(row.cause.id)}`, row.cause.id) : code(said(row.cause.id))] : '', row.cause.attempt ? `, attempt ${row.cause.attempt}` : ''],
			row.actor.key_id && ['Proven by key', said(row.actor.key_id)],
			['Time', row.time], ['Plan', code(said(row.plan))], ['Fence', number(row.fence)],
			row.destination_request_id && ['The destination’s request', code(row.destination_request_id)],
			['Hash', code(row.hash)], ['Row before', code(row.previous_hash)]])));
}

const STATES = { pending: 'On the way', quarantined: 'Quarantined', failed: 'Failed' };
const WHAT = {
	pending: 'Accepted, and not settled yet. They are tried by themselves.',
	quarantined: 'Proven, and kept, but not to be read, mapped or found. Mend the cause, then run them again.',
	failed: 'Tried for days, and given up. Mend the cause, then run them again.',
};

views.events = {
	name: 'Events', title: ({ query }) => `Events: ${(STATES[query.get('state') || 'quarantined'] ?? 'unknown').toLowerCase()}`,
	load: async ({ query }) => ({ page: await get(paged('events', query, { state: query.get('state') || 'quarantined' })) }),
	render: ({ page }, route) => {
		const state = route.query.get('state') || 'quarantined';
		return [
			tabs('States', STATES, 'events', 'state', state),
			p(WHAT[state]),
			shown(page, 'the events', data => [
				data.events.length ? eventTable(`${STATES[state]}, the longest waiting first`, data.events, state === 'pending')
					: data.next_cursor ? p('None on this page; there are more pages.') : p(mark('good', '✓ None.'), ' Nothing waits.'),
				pager(route, data.next_cursor)]),
		];
	},
};

const eventTable = (caption, events, pending) => table(caption, [
	['Event', one => [one.id, small(` of ${one.source}`)]],
	['Type', one => said(one.event_type)], ['Record', one => recordLink(one.record)],
	['Reason', one => said(one.reason)],
	['Received', one => [time(one.received_at), small(` proven by key ${one.proven_by}`)]],
	['Tries', one => [one.attempt ? `${number(one.attempt)} failed` : 'none failed', one.next_at && one.state === 'pending' ? [', next ', time(one.next_at)] : '']],
	...(pending ? [] : [['Again', one => one.state === 'pending' ? '–' : button('replay', 'Run again', { 'data-source': one.source, 'data-id': one.id, 'aria-label': `Run again: ${one.id} of ${one.source}` })]]),
], events, one => one.event);

views.batches = {
	name: 'Batches', title: () => 'Batches',
	load: async ({ query }) => {
		const [page, mappings] = await Promise.all([get(paged('batches', query)), get('mappings')]);
		return { page, mappings };
	},
	render: ({ page, mappings }, route) => [
		p('A batch compares source and destination, and repairs what differs.'),
		h('details', { 'data-key': 'start' }, h('summary', 'Compare both sides now'), h('form', { 'data-do': 'start', class: 'narrow' },
			field('Source', h('select', { name: 'source' }, (sourcesOf(mappings.data).length ? sourcesOf(mappings.data) : ['accredible']).map(name => option(name, name, 'accredible')))),
			field('Kind', h('select', { name: 'kind' }, Object.entries(KINDS).map(([kind, name]) => option(kind, name, 'certificate')))),
			h('fieldset', h('legend', 'What it may do'),
				label({ class: 'check' }, h('input', { type: 'radio', name: 'how', value: 'dry', checked: true }), 'Dry run: write nothing but a report'),
				label({ class: 'check' }, h('input', { type: 'radio', name: 'how', value: 'real' }), 'Repair what differs')),
			buttons(h('button', { class: 'main' }, 'Start')))),
		shown(page, 'the batches', data => [
			data.batches.length ? batchTable('Batches, the last asked for first', data.batches) : p('No batch yet.'),
			pager(route, data.next_cursor)]),
	],
};

const batchTable = (caption, batches) => table(caption, [
	['Batch', one => link(`#/batches/${enc(one.batch_id)}`, one.batch_id)],
	['Verdict', verdictOf],
	['In a sentence', one => one.summary?.headline ?? one.error ?? (one.status === 'running' ? 'It runs.' : '–')],
	['Of', one => `${one.source}, ${one.kind}${one.dry_run ? ', dry run' : ''}`],
	['Asked for', one => [time(one.requested_at), small(` by ${one.requested_by}`)]],
], batches, one => one.batch_id);

views.batch = {
	under: 'batches', title: ({ parts }) => `Batch ${parts[1]}`,
	load: async ({ parts }) => ({ batch: await get(`batches/${enc(parts[1])}`) }),
	render: ({ batch }, { parts }) => [
		p(link('#/batches', 'All batches')),
		shown(batch, `batch ${parts[1]}`, one => {
			const over = ['finished', 'failed'].includes(one.status);
			if (!over) wait = wait || SOON;
			const id = { 'data-id': one.batch_id };
			const done = one.progress;
			return [
				h('div', { class: `state ${VERDICTS[one.summary?.verdict]?.[0] ?? (one.status === 'failed' ? 'bad' : over ? '' : 'warn')}` },
					p(verdictOf(one), ' ', one.summary?.headline ?? one.error ?? (over ? '' : 'It is not over yet: this page follows it.'))),
				one.report ? buttons(button('report', 'Open the report', id, true), button('file', 'CSV', { ...id, 'data-format': 'csv', 'aria-label': 'Save the report as CSV' }), button('file', 'JSON', { ...id, 'data-format': 'json', 'aria-label': 'Save the report as JSON' })) : null,
				facts([
					['State', words(one.status)], ['Mode', `${words(one.mode)}${one.dry_run ? ', dry run: nothing is written' : ''}${one.force ? ', forced' : ''}`],
					['Of', `${one.source}, ${one.kind}`], ['Asked for', time(one.requested_at), ` by ${one.requested_by}`],
					one.finished_at && ['Finished', time(one.finished_at)],
					one.summary && ['Compared', count(one.summary.records, 'record'), `, of which ${number(one.summary.differing)} differed; ${number(one.summary.repaired)} repaired`]]),
				section('Progress', facts([
					['Listed at the source', count(done.source, 'row')], ['Listed at the destination', count(done.destination, 'row')], ['Listed by us', count(done.own, 'row')],
					['Compared', `${number(done.compared)} of ${count(done.partitions, 'part')}`], ['Repaired', count(done.repaired, 'part')]])),
			];
		}),
	],
};

views.audit = {
	name: 'Audit', title: () => 'Audit proof',
	load: async ({ query }) => ({ page: await get(paged('audit/checkpoints', query), 'audit:read') }),
	render: ({ page }, route) => [
		p('Every change is a row that names the hash of the one before. A checkpoint is one number over the ends of all those chains.'),
		shown(page, 'the audit trail', ({ checkpoints, next_cursor }) => [
			!route.query.get('cursor') && proofState(checkpoints[0]),
			checkpoints.length ? [succession(checkpoints), table('Checkpoints, the newest first', [
				['Checkpoint', one => number(one.number)], ['Made', one => time(one.time)],
				['Signed', one => one.signed ? mark('good', `✓ by ${said(one.key_id)}`) : mark('warn', '! not signed')],
				['Chains', one => number(one.size), 'number'], ['Rows', one => number(one.rows), 'number'],
				['Hash', one => short(one.hash)], ['Names before', one => one.previous ? short(one.previous) : 'the first'],
				['Root', one => short(one.root)]], checkpoints, one => one.hash)] : null,
			pager(route, next_cursor)]),
		p(small('That is what the server says. Prove it without: ', code('certbridge audit export'), ' and ', code('certbridge audit verify'), '.')),
	],
};

function succession(checkpoints) {
	const broken = checkpoints.find((one, index) => index + 1 < checkpoints.length && checkpoints[index + 1].hash !== one.previous);
	return broken ? p(mark('bad', '✗ Broken'), ` Checkpoint ${broken.number} does not name the one before it.`)
		: checkpoints.length > 1 && p(mark('good', '✓ In a row'), ' Each checkpoint on this page names the one before it.');
}

/// What a payload became.
let preview = null;

views.mappings = {
	name: 'Mappings', title: () => 'Mappings',
	load: async () => ({ mappings: await get('mappings') }),
	render: ({ mappings }) => [
		p('A plan says how what a source sends becomes what the destination is told.'),
		shown(mappings, 'the plans', ({ destination, plans, broken }) => [
			broken.length ? notice('bad', p(strong(`${count(broken.length, 'definition is', 'definitions are')} broken, and not in force.`)),
				table('Broken definitions', [['File', one => one.file], ['Reason', one => one.reason]], broken, one => one.file)) : null,
			section(`Plans in force, for ${destination}`, plans.length ? plans.map(plan => h('details', { 'data-key': plan.source }, h('summary',
				`${plan.source}${plan.aliases.length ? `, also ${plan.aliases.join(', ')}` : ''}: ${plan.kinds.map(one => (KINDS[one.kind] ?? one.kind).toLowerCase()).join(', ')}`),
			p('Version ', code(plan.version)),
			plan.kinds.map(one => table(`${KINDS[one.kind] ?? one.kind} of ${plan.source}`, [['Field', row => row.field], ['Personal', row => row.personal ? 'yes: never shown here' : 'no']], one.fields, row => row.field, false)))) : p('No source is on.')),
		]),
		section('Try a payload', p('Nothing is stored, fetched or told.'), h('form', { 'data-do': 'preview' },
			field('Source', h('select', { name: 'source' }, sourcesOf(mappings.data).map(name => option(name, name)))),
			field('Payload, as JSON', h('textarea', { name: 'payload', rows: '8', required: true, spellcheck: 'false', autocomplete: 'off', placeholder: '{"event_type": ..}' })),
			field('Headers, one “name: value” a line', h('textarea', { name: 'headers', rows: '2', spellcheck: 'false', autocomplete: 'off' })),
			buttons(h('button', { class: 'main' }, 'Preview')))),
		preview && section('What it would become', preview.fault ? fault(preview.fault, 'what it would become') : previewed(preview.data)),
	],
};

const previewed = data => [
	data.problems.length ? [p(mark('bad', `✗ ${count(data.problems.length, 'problem')}`)), faults(data.problems)] : p(mark('good', '✓ No problem')),
	data.note && p(data.note),
	data.event && facts(Object.entries(data.event).map(([name, value]) => [words(name), said(value)])),
	data.fields.length ? table('Field by field', [['From', row => row.from], ['Found', row => said(row.found)], ['Field', row => said(row.field)], ['Value', row => said(row.value)],
		['The destination is told', row => row.destination_field ? `${row.destination_field}: ${said(row.destination_value)}` : '–']], data.fields) : null,
	data.request && [h('h3', 'The request to the destination'), pre('The request to the destination', data.request)],
];

// ---- What a person does

function say(tone, ...text) {
	at('answer').replaceChildren(h('div', { class: tone }, p(...text), button('dismiss', 'Dismiss')));
}
const hush = () => at('answer').replaceChildren();

function refusal(error, scope) {
	if (!(error instanceof Refused)) return 'Something went wrong in this page.';
	if (error.status === 403) return `Your key may not do this: it needs the scope ${scope}.`;
	const again = error.retry ? ` Try again in ${lasting(error.retry)}.` : '';
	const errors = (error.errors ?? []).slice(0, 3).map(one => ` ${one.field}: ${one.found}, wanted ${one.wanted}.`).join('');
	return `Not done. ${error.title} ${error.detail ?? ''}${errors}${again}`;
}

/// Does it once, and says what came of it.
async function perform(element, scope, deed) {
	if (element.getAttribute('aria-disabled') === 'true') return;
	element.setAttribute('aria-disabled', 'true');
	hush();
	const turnBefore = turn;
	try {
		say('good', ...[await deed()].flat());
	} catch (error) {
		if (error instanceof Refused && error.status === 401) return leave('The key is not accepted any more.');
		say('bad', strong(refusal(error, scope)));
		if (!(error instanceof Refused)) throw error;
	} finally {
		element.removeAttribute('aria-disabled');
	}
	if (turn === turnBefore || route().path === current) await show(false);
}

/// Resolves to whether a person wants it.
function ask(title, text, yes) {
	const dialog = at('ask');
	at('ask-title').textContent = title;
	at('ask-text').textContent = text;
	at('ask-yes').textContent = yes;
	dialog.returnValue = '';
	dialog.showModal();
	// The end of the dialog before may be told as late as now.
	return new Promise(resolve => { dialog.onclose = () => dialog.open || resolve(dialog.returnValue === 'yes'); });
}

const recordPath = ({ kind, source, id }) => `records/${enc(kind)}/${enc(source)}/${enc(id)}/sync`;

const deeds = {
	skip: () => at('title').focus(),
	refresh: () => { wait = 0; show(false); },
	dismiss: () => { hush(); at('title').focus({ preventScroll: true }); },
	yes: () => at('ask').close('yes'),
	no: () => at('ask').close(''),
	forget: () => leave('The key is forgotten.'),
	pause: element => {
		paused = !paused;
		element.setAttribute('aria-pressed', String(paused));
		tick();
	},
	sync: element => perform(element, 'sync:write', async () => {
		const { data } = await call('POST', recordPath(element.dataset), { body: {} });
		wouldBe = null;
		return `Synced: ${OUTCOMES[data.outcome] ?? words(data.outcome)}. ${data.pushed ? 'The destination was told' : 'The destination was not told'}; ${count(data.changes.length, 'field')} changed.`;
	}),
	try: element => perform(element, 'sync:write', async () => {
		const { data } = await call('POST', `${recordPath(element.dataset)}?dry_run=true`, { body: {} });
		wouldBe = { address: route().path, data };
		return `Nothing was written. ${count(data.changes.length, 'field')} would change; see “What would change”.`;
	}),
	replay: async element => {
		const { source, id } = element.dataset;
		if (!await ask('Run this event again?', `Event ${id} of ${source} is tried anew, on your key’s account, and its record’s newest state is told to the destination.`, 'Run it again')) return;
		await perform(element, 'sync:write', async () => {
			await call('POST', `events/${enc(source)}/${enc(id)}/replay`);
			return [`Event ${id} is on its way again. `, link(address('events', { state: 'pending' }), 'What is on the way')];
		});
	},
	report: element => {
		// Opened while the click allows it. It inherits this page's policy: no script runs in it.
		const tab = window.open('', '_blank');
		return perform(element, 'records:read', async () => {
			try {
				const response = await reportOf(element.dataset.id, 'html');
				if (!tab) return 'The browser did not allow a new tab.';
				// The policy refuses a style element, and lets a script give a sheet.
				const sheets = [];
				const bare = (await response.text()).replace(/<style>([^]*?)<[/]style>/g, (_, css) => {
					sheets.push(new tab.CSSStyleSheet());
					sheets.at(-1).replaceSync(css);
					return '';
				});
				const page = new DOMParser().parseFromString(bare, 'text/html');
				tab.document.title = page.title;
				tab.document.documentElement.lang = 'en';
				tab.document.adoptedStyleSheets = sheets;
				tab.document.body.replaceChildren(...page.body.childNodes);
				tab.opener = null;
				return 'The report is open in a tab of its own.';
			} catch (error) {
				tab?.close();
				throw error;
			}
		});
	},
	file: element => perform(element, 'records:read', async () => {
		const { id, format } = element.dataset;
		const href = URL.createObjectURL(await (await reportOf(id, format)).blob());
		h('a', { href, download: `${id}.${format}` }).click();
		setTimeout(() => URL.revokeObjectURL(href), 60000);
		return `The report is saved as ${id}.${format}.`;
	}),
};

async function reportOf(id, format) {
	try {
		return await call('GET', `batches/${enc(id)}/report?format=${format}`, { raw: true });
	} catch (error) {
		if (error.status === 303) error.detail = `Ask for it with: curl -L -OJ -H "x-api-key: .." ${new URL(`batches/${enc(id)}/report?format=${format}`, location.href)}`;
		throw error;
	}
}

const submissions = {
	key: async (form, given) => {
		const value = given.get('key').trim();
		if (!/^[\x21-\x7e]+$/.test(value)) return keyForm('A key has letters, digits and signs, and no spaces.');
		key = value;
		const send = form.querySelector('button');
		send.setAttribute('aria-disabled', 'true');
		try {
			await call('GET', 'summary');
		} catch (error) {
			// One that may not read this is still a key: each view says what it may not see.
			if (error.status === 401) { key = null; return keyForm('There is no such key, or it has run out.'); }
		} finally {
			send.removeAttribute('aria-disabled');
		}
		store('sessionStorage', 'certbridge-key', given.get('keep') ? value : null);
		await show(true);
	},
	filter: (form, given) => {
		const since = given.get('updated_since');
		const query = { ...Object.fromEntries(given), updated_since: since ? new Date(since).toISOString() : '' };
		location.hash = address('records', query);
	},
	start: async (form, given) => {
		const dry = given.get('how') !== 'real';
		if (!dry && !await ask('Repair what differs?', `The destination is told what it lacks or holds otherwise, of the ${KINDS[given.get('kind')].toLowerCase()} of ${given.get('source')}.`, 'Compare and repair')) return;
		await perform(form.querySelector('button'), 'batch:run', async () => {
			// An id of ours: sent twice, it is one batch.
			const id = `dashboard-${new Date(now()).toISOString().replace(/\D/g, '').slice(0, 14)}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
			const { data } = await call('POST', `batch_sync?source=${enc(given.get('source'))}&kind=${enc(given.get('kind'))}`, { body: { batch_id: id, dry_run: dry } });
			location.hash = `#/batches/${enc(data.batch_id)}`;
			return `Batch ${data.batch_id} starts.`;
		});
	},
	preview: (form, given) => perform(form.querySelector('button'), 'records:read', async () => {
		let payload;
		try { payload = JSON.parse(given.get('payload')); } catch (error) {
			preview = null;
			throw new Refused({ status: 2, title: 'The payload is not JSON.', detail: error.message });
		}
		const headers = Object.fromEntries(given.get('headers').split('\n').map(line => line.split(/:(.*)/s, 2).map(part => part.trim())).filter(([name, value]) => name && value));
		try {
			preview = { data: (await call('POST', 'mappings/preview', { body: { source: given.get('source'), payload, ...(Object.keys(headers).length ? { headers } : {}) } })).data };
		} catch (error) {
			preview = { fault: error };
			throw error;
		}
		return preview.data.problems.length ? `${count(preview.data.problems.length, 'problem')}: see “What it would become”.` : 'It can be mapped: see “What it would become”.';
	}),
};

// ---- The page

let paused = false;
/// How long to wait with the next refresh, in seconds, if not as long as ever.
let wait = 0;
/// An answer that comes after a newer one was asked for is dropped.
let turn = 0;
let current = null;
let refreshed = 0;
let due = Infinity;

function route() {
	const [path, query = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
	const parts = (path || 'overview').split('/').map(part => { try { return decodeURIComponent(part); } catch { return part; } });
	const name = parts[0] === 'records' && parts.length === 4 ? 'record' : parts[0] === 'batches' && parts.length === 2 ? 'batch' : parts.length === 1 ? parts[0] : '';
	return { view: Object.hasOwn(views, name) && !(views[name].under && parts.length === 1) ? name : null, path: path || 'overview', parts, query: new URLSearchParams(query) };
}

function head(title, section) {
	document.title = `${title} – Certbridge`;
	at('title').textContent = title;
	at('session').hidden = at('views').hidden = !key;
	at('views').replaceChildren(h('ul', Object.entries(views).filter(([, view]) => view.name).map(([name, view]) =>
		li(h('a', { href: name === 'overview' ? '#/' : `#/${name}`, 'aria-current': section === name && 'page' }, view.name)))));
}

/// Shows the view of the address: anew, with the focus on its heading, or as it has become.
async function show(anew) {
	if (!key) return keyForm();
	const mine = ++turn;
	const to = route();
	const view = views[to.view];
	const place = at('view');
	due = Infinity;
	if (anew) {
		hush();
		wouldBe = preview = null;
		current = to.path;
		head(view ? view.title(to) : 'There is no such view', view?.under ?? to.view);
		place.replaceChildren(view ? p('Reading …') : p('Choose one above.'));
		at('title').focus({ preventScroll: true });
		scrollTo(0, 0);
	}
	if (!view) return;
	place.setAttribute('aria-busy', 'true');
	wait = 0;
	let answers;
	try {
		answers = await view.load(to);
	} catch (error) {
		if (mine !== turn) return;
		if (error instanceof Refused && error.status === 401) return leave('The key is not accepted any more.');
		throw error;
	} finally {
		if (mine === turn) place.removeAttribute('aria-busy');
	}
	if (mine !== turn) return;
	refreshed = Date.now();
	const focused = document.activeElement;
	const fresh = h('div', { id: 'view' }, view.render(answers, to));
	if (anew) place.replaceChildren(...fresh.childNodes);
	else patch(place, fresh);
	// A row that is gone takes the focus with it: back to the heading.
	if (!anew && focused !== document.body && !focused.isConnected) at('title').focus({ preventScroll: true });
	due = refreshed + (wait || EVERY) * 1000;
	tick();
}

function tick() {
	for (const element of document.querySelectorAll('[data-ago]')) {
		const text = ago(element.dateTime);
		if (element.textContent !== text) element.textContent = text;
	}
	at('updated').textContent = !refreshed ? '' : paused ? 'Refresh is paused' : `Read ${ago(new Date(refreshed + ahead).toISOString())}`;
	if (key && !paused && !document.hidden && !at('ask').open && Date.now() >= due) show(false);
}

function keyForm(error) {
	turn += 1;
	due = Infinity;
	current = null;
	head('Give your API key', null);
	at('view').replaceChildren(
		p('This page shows what your key may see. The key is sent to this server alone, and stands in no address.'),
		h('form', { 'data-do': 'key', class: 'narrow', autocomplete: 'off', novalidate: true },
			field('API key', h('input', { type: 'password', name: 'key', id: 'key', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', 'aria-invalid': error ? 'true' : null, 'aria-describedby': error ? 'key-error' : null })),
			error && p({ id: 'key-error', class: 'bad' }, `✗ ${error}`),
			label({ class: 'check' }, h('input', { type: 'checkbox', name: 'keep', value: 'yes' }), 'Keep it for this tab, until it is closed'),
			buttons(h('button', { class: 'main' }, 'Show'))),
		p(small('A key is made with ', code('certbridge keys create --owner NAME --scope records:read --scope audit:read'), '. To replay and sync it needs sync:write, to start a batch batch:run.')));
	at('key').focus();
}

function leave(why) {
	key = null;
	kept.clear();
	wouldBe = preview = null;
	refreshed = 0;
	store('sessionStorage', 'certbridge-key', null);
	keyForm();
	say('good', why);
}

function store(where, name, value) {
	try {
		if (value === undefined) return window[where].getItem(name);
		if (value === null) window[where].removeItem(name);
		else window[where].setItem(name, value);
	} catch { /* nothing is kept */ }
	return null;
}

function theme(chosen) {
	if (chosen === 'auto') delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = chosen;
}

document.addEventListener('click', event => {
	const element = event.target.closest('[data-do]');
	if (!element || element.localName === 'form') return;
	if (element.localName === 'a') event.preventDefault();
	deeds[element.dataset.do]?.(element);
});
document.addEventListener('submit', event => {
	event.preventDefault();
	submissions[event.target.dataset.do]?.(event.target, new FormData(event.target));
});
at('theme').addEventListener('change', event => {
	theme(event.target.value);
	store('localStorage', 'certbridge-theme', event.target.value === 'auto' ? null : event.target.value);
});

addEventListener('hashchange', () => show(true));
document.addEventListener('visibilitychange', tick);
setInterval(tick, 1000);

const chosen = store('localStorage', 'certbridge-theme');
if (['light', 'dark'].includes(chosen)) {
	theme(chosen);
	document.querySelector(`#theme [value="${chosen}"]`).checked = true;
}
key = store('sessionStorage', 'certbridge-key') || null;
show(true);
})();
