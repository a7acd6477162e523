// The dashboard in a real browser, against a real bundle:
//
//   npm ci && node run.mjs [--screenshots] [--only WORDS] [--browser PATH]
//
// Answers that a healthy bundle does not give (no network, 429, 503, another version) are put in the way by the browser;
// everything else is the bundle's own. Prints each check, and leaves with 1 if one failed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { Bundle, HOSTILE, HOSTILE_ID, PATIENCE, ROOT, until } from './ground.mjs';

const { values: options } = parseArgs({ options: {
  screenshots: { type: 'boolean' }, only: { type: 'string' }, browser: { type: 'string' },
} });

const bundle = await Bundle.start();
const DASHBOARD = `${bundle.url}/dashboard`;
const browser = await chromium.launch({
  executablePath: options.browser ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(fs.existsSync),
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
/// What no check may cause: refusals of the policy, errors of the page, keys in addresses.
const offences = [];
const checks = [];
const check = (name, run, settings) => checks.push({ name, run, settings });

// ---- Hands and eyes -------------------------------------------------------------------------------------------------

async function open(settings = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...settings });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript(() => {
    window.shifted = 0;
    new PerformanceObserver(list => list.getEntries().forEach(one => { if (!one.hadRecentInput) window.shifted += one.value; })).observe({ type: 'layout-shift', buffered: true });
  });
  context.on('console', message => { if (/Content Security Policy|Refused to/i.test(message.text())) offences.push(`policy: ${message.text()}`); });
  context.on('weberror', error => offences.push(`error: ${error.error().stack}`));
  context.on('request', request => { if (Object.values(bundle.keys).some(({ key }) => request.url().includes(key))) offences.push('a key stands in an address'); });
  const page = await context.newPage();
  return page;
}

async function come(page, key = 'all', at = '', keep = false) {
  await page.goto(DASHBOARD + at);
  await page.getByLabel('API key').fill(bundle.keys[key]?.key ?? key);
  if (keep) await page.getByLabel('Keep it for this tab').check();
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  if (bundle.keys[key]) await page.getByRole('button', { name: 'Forget key' }).waitFor();
  await settled(page);
}

const settled = page => page.waitForFunction(() => {
  const view = document.getElementById('view');
  return view && !view.hasAttribute('aria-busy') && view.textContent !== 'Reading …';
});

async function go(page, address) {
  await page.evaluate(to => {
    if (location.hash === to) return;
    return new Promise(resolve => { addEventListener('hashchange', resolve, { once: true }); location.hash = to; });
  }, address);
  await settled(page);
}

const text = page => page.locator('#view').innerText();
const answer = page => page.locator('#answer').innerText();
const heading = page => page.locator('h1').innerText();
async function says(page, words) {
  try {
    await page.locator('#answer').getByText(words).first().waitFor();
  } catch (error) {
    throw new Error(`it says “${await answer(page)}”, not “${words}”: ${error.message.split('\n')[0]}`);
  }
}
const shows = (page, words) => page.locator('#view').getByText(words).first().waitFor();

/// Presses Tab until the focus is on what has this name.
async function tabTo(page, name) {
  for (let count = 0; count < 120; count += 1) {
    const focused = await page.evaluate(() => {
      const one = document.activeElement;
      return one.getAttribute('aria-label') ?? one.labels?.[0]?.textContent ?? one.textContent;
    });
    if (typeof name === 'string' ? focused === name : name.test(focused)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`the focus never came to ${name}`);
}

const odd = HOSTILE_ID;
const recordOf = (kind, source, id) => `#/records/${kind}/${encodeURIComponent(source)}/${encodeURIComponent(id)}`;
const VIEWS = {
  overview: ['#/', 'Overview'],
  records: ['#/records', 'Certificates'],
  record: [recordOf('certificate', 'standard-webhooks', 'plain-1'), 'certificate plain-1'],
  events: ['#/events', 'Events: quarantined'],
  batches: ['#/batches', 'Batches'],
  batch: ['#/batches/real', 'Batch real'],
  audit: ['#/audit', 'Audit proof'],
  mappings: ['#/mappings', 'Mappings'],
};

async function faultsOf(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => `${one.id}: ${one.help} (${one.nodes.map(node => `${node.target} ${node.any[0]?.message ?? ''}`).slice(0, 3).join('; ')})`);
}

// ---- The checks -----------------------------------------------------------------------------------------------------

check('the page is small, and its policy lets nothing else in', async page => {
  const response = await page.goto(DASHBOARD);
  const policy = response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'sha256-[^']+'(;|$)/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  const size = (await response.body()).length;
  assert.ok(size < 60 * 1024, `${size} bytes`);
  assert.equal(await page.evaluate(() => performance.getEntriesByType('resource').filter(one => !one.name.startsWith('data:')).length), 0);
});

check('a wrong key is refused in words, and nothing is shown', async page => {
  await come(page, 'nobody-s-key');
  await page.getByText('There is no such key, or it has run out.').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
  assert.equal(await page.locator('nav').isVisible(), false);
  await page.getByLabel('API key').fill('two words');
  await page.keyboard.press('Enter');
  await page.getByText('A key has letters, digits and signs').waitFor();
});

check('a key is kept only if that is asked for, and forgotten when told', async page => {
  await come(page);
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
  await page.reload();
  await page.getByLabel('API key').waitFor();
  await come(page, 'all', '', true);
  await page.reload();
  await page.getByRole('button', { name: 'Forget key' }).waitFor();
  await settled(page);
  assert.equal(await heading(page), 'Overview');
  await page.getByRole('button', { name: 'Forget key' }).click();
  await page.getByLabel('API key').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.doesNotMatch(await page.locator('body').innerText(), /plain-1|given-1/);
});

for (const [name, [address, title]] of Object.entries(VIEWS)) {
  check(`${name}: reached by its address, one heading with the focus, landmarks, nothing moves`, async page => {
    await come(page, 'all', address);
    assert.equal(await heading(page), title);
    // To give the key made the header grow, as it should.
    await page.evaluate(() => { window.shifted = 0; });
    await go(page, address === '#/' ? '#/audit' : '#/');
    await go(page, address);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'title');
    assert.equal(await page.title(), `${title} – Certbridge`);
    assert.equal(await page.locator('h1').count(), 1);
    const levels = await page.locator('main').evaluate(main => [...main.querySelectorAll('h1, h2, h3')].map(one => Number(one.localName[1])));
    levels.reduce((before, level) => { assert.ok(level <= before + 1, `headings ${levels}`); return level; });
    assert.equal(await page.locator('main, header, nav, footer').count(), 4);
    assert.equal(await page.locator('#view .notice.bad').count(), 0, await text(page));
    const bare = await page.locator('table').evaluateAll(tables => tables.filter(one => !one.caption || [...one.querySelectorAll('th')].some(th => !th.scope)).length);
    assert.equal(bare, 0);
    const shifted = await page.evaluate(() => window.shifted);
    assert.ok(shifted < 0.05, `shifted by ${shifted}`);
  });
}

check('the overview says in plain words how things are, with numbers that agree with the API', async page => {
  await come(page);
  const [summary, { batches }] = await Promise.all([bundle.api('GET', 'summary'), bundle.api('GET', 'batches')]);
  const seen = await text(page);
  assert.match(seen, new RegExp(`${summary.events.quarantined} deliveries need a person`));
  const all = summary.kinds.reduce((sum, kind) => sum + kind.records, 0);
  assert.match(seen, new RegExp(`Records in step\\s+${all}\\b`));
  assert.ok(seen.includes(batches[0].summary.headline));
  assert.match(seen, /✓ Signed/);
  const drift = batches.filter(one => one.mode === 'reconcile' && one.summary).reverse().map(one => one.summary.differing);
  assert.ok(drift.length > 1 && drift.some(count => count > 0), `${drift}`);
  const told = await page.getByRole('img', { name: /The oldest first/ }).getAttribute('aria-label');
  assert.deepEqual(told.match(/\d+/g).map(Number), drift);
  for (const { kind, records } of summary.kinds.filter(one => one.records)) assert.match(seen, new RegExp(`${kind}s\\s+${records}\\b`, 'i'));
  const time = page.locator('#view time').first();
  assert.match(await time.getAttribute('datetime'), /^\d{4}-\d\d-\d\dT/);
  assert.equal(await time.getAttribute('title'), await time.getAttribute('datetime'));
  await page.getByRole('link', { name: 'See why' }).click();
  await shows(page, 'no-date');
});

check('records are filtered, and turned page by page, there and back', async page => {
  await come(page, 'all', '#/records');
  const rows = page.locator('tbody tr');
  assert.equal(await rows.count(), 25);
  const first = await rows.first().innerText();
  await page.getByRole('link', { name: 'Next page' }).click();
  await page.getByRole('link', { name: 'First page' }).waitFor();
  assert.notEqual(await rows.first().innerText(), first);
  await page.goBack();
  await page.getByRole('link', { name: 'First page' }).waitFor({ state: 'detached' });
  await settled(page);
  assert.equal(await rows.count(), 25);
  await page.getByLabel('Location').fill('loc_lyon');
  await page.getByRole('combobox', { name: 'Source' }).selectOption('accredible');
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.getByRole('link', { name: 'All of them' }).waitFor();
  const found = await rows.allInnerTexts();
  assert.equal(found.length, 10);
  assert.ok(found.every(row => row.includes('loc_lyon')));
  assert.match(page.url(), /location_id=loc_lyon/);
  await go(page, '#/records?status=nonsense');
  await shows(page, 'Nothing matches.');
  await page.getByRole('link', { name: 'Invoices' }).click();
  await shows(page, 'i-1');
  assert.equal(await heading(page), 'Invoices');
  await page.getByRole('link', { name: 'i-1' }).click();
  await shows(page, '120.50');
});

check('a filter by time finds what was synced since, and the field keeps it', async page => {
  await come(page, 'all', '#/records');
  await page.getByLabel('Synced since').fill('2020-01-01T00:00');
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.getByRole('link', { name: 'All of them' }).waitFor();
  assert.equal(await page.getByLabel('Synced since').inputValue(), '2020-01-01T00:00');
  assert.equal(await page.locator('tbody tr').count(), 25);
  await page.getByLabel('Synced since').fill('2099-01-01T00:00');
  await page.getByRole('button', { name: 'Filter' }).click();
  await shows(page, 'Nothing matches.');
});

check('a record shows its fields, names what is withheld, and tells its history', async page => {
  await come(page, 'all', VIEWS.record[0]);
  const seen = await text(page);
  assert.match(seen, /title\s+First aid/);
  assert.match(seen, /recipient_name\s+withheld/);
  assert.doesNotMatch(seen, /Marked Person/);
  assert.match(seen, /standard-webhooks sent certificate\.issued/);
  assert.match(seen, /The destination was told: synced/);
  assert.match(seen, /✓ The chain holds/);
  assert.match(seen, /Delivery standard-webhooks#certificate-1, received/);
});

check('a dry run says what would change, and a sync is done and told in the history', async page => {
  await come(page, 'all', recordOf('certificate', 'accredible', '100'));
  const before = await page.locator('.timeline > li').count();
  await page.getByRole('button', { name: 'What would change' }).click();
  await says(page, 'Nothing was written.');
  await page.getByRole('heading', { name: 'What would change' }).waitFor();
  assert.equal(await page.locator('.timeline > li').count(), before);
  await page.getByRole('button', { name: 'Sync now' }).click();
  await says(page, 'Synced:');
  await page.waitForFunction(count => document.querySelectorAll('.timeline > li').length === count, before + 1);
  assert.match(await page.locator('.timeline > li').first().innerText(), /^all asked for a sync/);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Sync now');
});

check('a delivery is run again after its cause is mended', async page => {
  await come(page, 'all', '#/events');
  assert.match(await text(page), /loc_oslo|location_id/);
  await bundle.openOslo();
  const again = page.getByRole('button', { name: 'Run again: unknown-location of standard-webhooks' });
  await again.click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  assert.equal(await answer(page), '');
  await again.click();
  await page.getByRole('dialog').getByRole('button', { name: 'Run it again' }).click();
  await says(page, 'Event unknown-location is on its way again.');
  await until('its sync', async () => (await bundle.api('GET', 'records/certificate/standard-webhooks/lost-1')).synced_at);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await again.waitFor({ state: 'detached' });
  await go(page, recordOf('certificate', 'standard-webhooks', 'lost-1'));
  assert.match(await text(page), /all ran certificate\.issued again/);
});

check('the keyboard alone leads from the key to a replay', async page => {
  await page.goto(DASHBOARD);
  await page.getByLabel('API key').waitFor();
  await page.keyboard.type(bundle.keys.all.key);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Forget key' }).waitFor();
  await settled(page);
  await page.evaluate(() => document.body.focus());
  await page.keyboard.press('Shift+Tab');
  await tabTo(page, 'Events');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.textContent === 'Events: quarantined');
  await settled(page);
  await tabTo(page, /^Run again: no-date/);
  const shown = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(shown, 'solid');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.closest('dialog') !== null), true);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /^Run again: no-date/);
  await page.keyboard.press('Enter');
  // As a busy browser may tell of the end of the dialog before.
  await page.evaluate(() => document.getElementById('ask').dispatchEvent(new Event('close')));
  await tabTo(page, 'Run it again');
  await page.keyboard.press('Enter');
  await says(page, 'Event no-date is on its way again.');
});

check('the skip link leads over the header', async page => {
  await come(page);
  await page.evaluate(() => { document.activeElement.blur(); });
  await page.locator('.skip').focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'title');
});

check('a batch is started as a dry run, and followed to its end', async page => {
  await come(page, 'all', '#/batches');
  await page.getByText('Compare both sides now').click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.waitForURL(/#\/batches\/dashboard-/);
  await page.getByRole('button', { name: 'Open the report' }).waitFor({ timeout: 60_000 });
  assert.match(await text(page), /dry run: nothing is written/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'title');
});

check('a repairing batch is asked about before', async page => {
  await come(page, 'all', '#/batches');
  const before = (await bundle.api('GET', 'batches')).batches.length;
  await page.getByText('Compare both sides now').click();
  await page.getByLabel('Repair what differs').check();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  assert.equal((await bundle.api('GET', 'batches')).batches.length, before);
});

check('a report opens in a tab of its own, dressed and without scripts, and is saved as CSV and JSON', async page => {
  await come(page, 'all', VIEWS.batch[0]);
  const [tab] = await Promise.all([page.waitForEvent('popup'), page.getByRole('button', { name: 'Open the report' }).click()]);
  await says(page, 'The report is open');
  const batch = await bundle.api('GET', 'batches/real');
  assert.equal(await tab.locator('h1').innerText(), batch.summary.headline);
  assert.ok(await tab.evaluate(() => document.adoptedStyleSheets.length > 0 && document.adoptedStyleSheets[0].cssRules.length > 10));
  assert.equal(await tab.evaluate(() => window.opener), null);
  for (const format of ['CSV', 'JSON']) {
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: `Save the report as ${format}` }).click()]);
    assert.equal(file.suggestedFilename(), `real.${format.toLowerCase()}`);
    const content = fs.readFileSync(await file.path(), 'utf8');
    if (format === 'JSON') assert.equal(JSON.parse(content).batch_id, 'real');
    else assert.match(content, /,/);
  }
});

check('the checkpoints stand in a row, signed', async page => {
  await come(page, 'all', '#/audit');
  const { checkpoints } = await bundle.api('GET', 'audit/checkpoints');
  assert.ok(checkpoints.length >= 2);
  assert.match(await text(page), /✓ In a row/);
  assert.match(await text(page), new RegExp(`✓ by ${checkpoints[0].key_id}`));
});

check('a payload is previewed, with every problem, and nothing is stored', async page => {
  await come(page, 'all', '#/mappings');
  await page.getByText(/^accredible, also certificates/).click();
  await page.locator('details[open]').getByText('yes: never shown here').first().waitFor();
  await page.getByRole('combobox', { name: 'Source' }).selectOption('standard-webhooks');
  await page.getByRole('textbox', { name: 'Payload' }).fill('{"type": ');
  await page.getByRole('button', { name: 'Preview' }).click();
  await says(page, 'The payload is not JSON.');
  await page.getByRole('textbox', { name: 'Payload' }).fill(JSON.stringify(bundle.certificate('preview-1', { issue_date: 'soon', user_id: null, title: HOSTILE })));
  await page.getByRole('textbox', { name: /^Headers/ }).fill('webhook-id: preview-1');
  await page.getByRole('button', { name: 'Preview' }).click();
  await says(page, /\d problem/);
  const seen = await text(page);
  assert.match(seen, /issue_date/);
  assert.match(seen, /user_id/);
  await page.getByRole('textbox', { name: 'Payload' }).fill(JSON.stringify(bundle.certificate('preview-1', { title: HOSTILE })));
  await page.getByRole('button', { name: 'Preview' }).click();
  await says(page, 'It can be mapped');
  assert.ok((await text(page)).includes('<img src=x'));
  await assert.rejects(bundle.api('GET', 'records/certificate/standard-webhooks/preview-1'), /404/);
});

check('what is hostile is shown as text, and never run', async page => {
  await come(page, 'all', recordOf('certificate', 'standard-webhooks', odd));
  assert.equal(await heading(page), `certificate ${odd}`);
  assert.ok((await text(page)).includes(HOSTILE));
  await go(page, '#/events');
  assert.ok((await text(page)).includes(HOSTILE_ID));
  await go(page, `#/records?status=${encodeURIComponent(HOSTILE)}`);
  await go(page, `#/${encodeURIComponent(HOSTILE)}`);
  assert.equal(await heading(page), 'There is no such view');
  await go(page, '#/records?source=standard-webhooks');
  await page.getByRole('link', { name: odd }).click();
  await shows(page, 'What happened');
  assert.equal(await page.locator('#view img, #view script').count(), 0);
  assert.equal(await page.evaluate(() => window.owned), undefined);
});

check('a key that may only read sees the rest, and is told what it may not', async page => {
  await come(page, 'reader');
  assert.match(await text(page), /Your key may not see the audit trail\./);
  assert.match(await text(page), /Records in step/);
  await go(page, VIEWS.record[0]);
  assert.match(await text(page), /title\s+First aid/);
  assert.match(await text(page), /Your key may not see its history\..*audit:read/s);
  await page.getByRole('button', { name: 'Sync now' }).click();
  await says(page, 'it needs the scope sync:write');
  await go(page, '#/batches');
  await page.getByText('Compare both sides now').click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await says(page, 'it needs the scope batch:run');
});

check('a key that may read nothing is let in, and told so', async page => {
  await come(page, 'runner');
  assert.match(await text(page), /Your key may not see the numbers\..*records:read/s);
});

check('back and forward lead through the views', async page => {
  await come(page);
  for (const name of ['Records', 'Audit', 'Mappings']) await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name }).click();
  await page.waitForFunction(() => document.querySelector('h1').textContent === 'Mappings');
  for (const title of ['Audit proof', 'Certificates', 'Overview']) {
    await page.goBack();
    await page.waitForFunction(wanted => document.querySelector('h1').textContent === wanted, title);
  }
  await page.goForward();
  await page.waitForFunction(() => document.querySelector('h1').textContent === 'Certificates');
  await settled(page);
  assert.equal(await page.getByRole('navigation', { name: 'Views' }).locator('[aria-current]').innerText(), 'Records');
});

check('it refreshes by itself, keeps scroll and focus, and can be paused', async page => {
  await page.clock.install();
  await come(page, 'all', '#/records');
  let reads = 0;
  page.on('request', request => { if (request.url().includes('/records/certificate?')) reads += 1; });
  await page.setViewportSize({ width: 1280, height: 500 });
  const linkTo = page.locator('tbody tr a').nth(20);
  await linkTo.focus();
  const before = await page.evaluate(() => [document.activeElement.textContent, scrollY]);
  assert.ok(before[1] > 100);
  await Promise.all([page.waitForResponse(/records\/certificate\?/), page.clock.runFor(31_000)]);
  await settled(page);
  assert.deepEqual(await page.evaluate(() => [document.activeElement.textContent, scrollY]), before);
  assert.equal(reads, 1);
  await page.getByRole('button', { name: 'Pause refresh' }).click();
  await page.clock.runFor(120_000);
  assert.equal(reads, 1);
  assert.equal(await page.locator('#updated').innerText(), 'Refresh is paused');
});

check('a row that comes in above moves nobody else’s focus to another row', async page => {
  await come(page, 'all', '#/events');
  const last = page.getByRole('button', { name: /^Run again/ }).last();
  await last.focus();
  const named = await last.getAttribute('aria-label');
  await page.route('**/events?*', async route => {
    const headers = { ...route.request().headers() };
    delete headers['if-none-match'];
    const response = await route.fetch({ headers });
    const body = await response.json();
    body.events.unshift({ ...body.events[0], id: 'new-one', event: 'standard-webhooks#new-one' });
    await route.fulfill({ response, json: body });
  });
  await page.evaluate(() => document.querySelector('[data-do=refresh]').click());
  await shows(page, 'new-one');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), named);
});

check('what has not changed is asked for by its ETag', async page => {
  await come(page, 'all', '#/mappings');
  const [response] = await Promise.all([page.waitForResponse(/\/mappings$/), page.getByRole('button', { name: 'Refresh now' }).click()]);
  assert.equal(response.status(), 304);
  await settled(page);
  assert.match(await text(page), /Plans in force/);
});

check('without a network it says so, and keeps what it had', async page => {
  await come(page, 'all', '#/records');
  await page.route('**/records/**', route => route.abort());
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await shows(page, 'The server cannot be reached.');
  await shows(page, 'What stands here is what was last read');
  assert.equal(await page.locator('tbody tr').count(), 25);
  await page.unroute('**/records/**');
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByText('The server cannot be reached.').waitFor({ state: 'detached' });
});

for (const [status, words] of [[429, 'That was too much at once.'], [503, 'The server cannot tell the batches right now.']]) {
  check(`${status} with Retry-After is said, and tried again then`, async page => {
    await page.clock.install();
    await come(page, 'all', '#/audit');
    const fulfil = { status, headers: { 'certbridge-version': '1', 'retry-after': '7' }, contentType: 'application/problem+json', json: { type: 't', title: 'Not now', status } };
    await page.route('**/batches?*', route => route.fulfill(fulfil));
    await go(page, '#/batches');
    await shows(page, words);
    await shows(page, 'It is tried again in 7 seconds.');
    await page.unroute('**/batches?*');
    await Promise.all([page.waitForResponse(/batches\?/), page.clock.runFor(8_000)]);
    await page.getByText(words).waitFor({ state: 'detached' });
    await shows(page, 'real');
  });
}

check('another version of the API is not misread', async page => {
  await come(page, 'all', '#/audit');
  await page.route('**/mappings', route => route.fulfill({ status: 200, headers: { 'certbridge-version': '2' }, json: { other: [] } }));
  await go(page, '#/mappings');
  await shows(page, 'This page speaks version 1 of the API, and the server version 2.');
});

check('a key that ends while the page is open leads back to the form', async page => {
  await come(page);
  await page.route('**/mappings', route => route.fulfill({ status: 401, headers: { 'certbridge-version': '1' }, json: { type: 't', title: 'A valid API key is needed', status: 401 } }));
  await page.evaluate(() => { location.hash = '#/mappings'; });
  await page.getByLabel('API key').waitFor();
  await says(page, 'The key is not accepted any more.');
});

check('an empty bundle says what to do first, and a calm one that all is well', async page => {
  const kinds = ['certificate', 'location', 'customer', 'invoice'].map(kind => ({ kind, records: 0, complete: true, last_synced_at: null, sources: [], statuses: [], locations: [] }));
  const events = { pending: 0, quarantined: 0, failed: 0, oldest_pending_at: null, complete: true };
  const summary = { at: new Date().toISOString(), complete: true, kinds, events };
  await page.route('**/summary', route => route.fulfill({ headers: { 'certbridge-version': '1' }, json: summary }));
  await page.route('**/batches?*', route => route.fulfill({ headers: { 'certbridge-version': '1' }, json: { batches: [], next_cursor: null } }));
  await come(page);
  await shows(page, 'Nothing has been synced yet');
  await shows(page, 'Send a first event');
  Object.assign(kinds[0], { records: 7, last_synced_at: summary.at });
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await shows(page, 'Everything is in step');
  Object.assign(events, { pending: 2, oldest_pending_at: new Date(Date.now() - 3_600_000).toISOString() });
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await shows(page, 'Deliveries are late');
});

check('light and dark follow the system, or the person', async page => {
  const lightness = () => page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)[0]));
  await page.emulateMedia({ colorScheme: 'dark' });
  await come(page);
  assert.ok(await lightness() < 60);
  await page.emulateMedia({ colorScheme: 'light' });
  assert.ok(await lightness() > 200);
  await page.getByRole('radio', { name: 'Dark' }).check();
  assert.ok(await lightness() < 60);
  await page.reload();
  assert.ok(await lightness() < 60);
  await page.getByRole('radio', { name: 'Light' }).check();
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.ok(await lightness() > 200);
  await page.getByRole('radio', { name: 'Auto' }).check();
  assert.ok(await lightness() < 60);
});

for (const width of [320, 640, 1280]) {
  check(`at ${width} pixels no view is wider than the window, and what can be pressed is large enough`, async page => {
    await come(page);
    for (const [name, [address]] of Object.entries({ ...VIEWS, hostile: [recordOf('certificate', 'standard-webhooks', odd)] })) {
      await go(page, address);
      for (const details of await page.locator('#view summary').all()) await details.click();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${name} is ${wide} wide`);
      const small = await page.locator('button:visible, nav a').evaluateAll(all => all.filter(one => one.getBoundingClientRect().height < 24 || one.getBoundingClientRect().width < 24).map(one => one.textContent));
      assert.deepEqual(small, []);
    }
  }, { viewport: { width, height: 700 } });
}

check('on paper there is nothing to press', async page => {
  await come(page);
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.locator('nav:visible, button:visible, form:visible').count(), 0);
  assert.equal(await page.getByText('Records in step').isVisible(), true);
});

for (const colorScheme of ['light', 'dark']) {
  check(`axe finds no serious fault in any view, ${colorScheme}`, async page => {
    await page.goto(DASHBOARD);
    await page.getByLabel('API key').waitFor();
    const found = { key: await faultsOf(page) };
    await come(page);
    for (const [name, [address]] of Object.entries(VIEWS)) {
      await go(page, address);
      for (const details of await page.locator('#view summary').all()) await details.click();
      found[name] = await faultsOf(page);
    }
    await go(page, '#/events');
    await page.getByRole('button', { name: /^Run again/ }).first().click();
    found.dialog = await faultsOf(page);
    await page.keyboard.press('Escape');
    await page.route('**/mappings', route => route.abort());
    await go(page, '#/mappings');
    found.fault = await faultsOf(page);
    for (const name of Object.keys(found)) if (!found[name].length) delete found[name];
    assert.deepEqual(found, {});
  }, { colorScheme });
}

async function screenshots() {
  const folder = path.join(ROOT, 'docs/images');
  fs.mkdirSync(folder, { recursive: true });
  const shots = [
    ['overview', VIEWS.overview, {}], ['overview-dark', VIEWS.overview, { colorScheme: 'dark' }], ['overview-phone', VIEWS.overview, { viewport: { width: 360, height: 760 } }],
    ['record', VIEWS.record, {}], ['events', VIEWS.events, {}], ['batch', VIEWS.batch, {}],
  ];
  for (const [name, [address], settings] of shots) {
    const page = await open({ viewport: { width: 1100, height: 800 }, ...settings });
    await come(page, 'all', address);
    const file = path.join(folder, `dashboard-${name}.png`);
    await page.screenshot({ path: file });
    const size = fs.statSync(file).size;
    if (size > 150 * 1024) throw new Error(`${file} has ${size} bytes`);
    console.log(`wrote ${path.relative(ROOT, file)}, ${size} bytes`);
    await page.context().close();
  }
}

// ---- All of it ------------------------------------------------------------------------------------------------------

let passed = 0;
const failed = [];
const record = (name, error) => {
  console.log(`${error ? 'FAIL' : 'ok  '} ${name}`);
  if (error) { failed.push(name); console.log(`     ${(error.stack ?? String(error)).split('\n').slice(0, 12).join('\n     ')}`); } else passed += 1;
};
try {
  await bundle.fill();
  if (options.screenshots) await screenshots();
  for (const { name, run, settings } of checks.filter(one => !options.only || one.name.includes(options.only))) {
    const page = await open(settings);
    try {
      await run(page);
      record(name);
    } catch (error) {
      record(name, error);
    } finally {
      await page.context().close();
    }
  }
  record('nothing was refused by the policy, no script failed, no key stood in an address', offences.length ? new Error([...new Set(offences)].join('\n')) : null);
} catch (error) {
  record('the ground of the checks', error);
} finally {
  await browser.close();
  await bundle.stop();
}
console.log(`browser: ${passed} passed, ${failed.length} failed`);
process.exitCode = failed.length ? 1 : 0;
