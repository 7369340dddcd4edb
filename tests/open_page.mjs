// Opens pages in headless Chromium and tells what it saw, as JSON on standard output.
// node open_page.mjs MODULES CHROMIUM FILE…: MODULES is the folder with playwright-core and axe-core.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [, , modules, executablePath, ...files] = process.argv;
const require = createRequire(modules + '/');
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

const browser = await chromium.launch({ executablePath, args });
const seen = [];
for (const file of files) {
  // Scrolling and marks are the same in every colour, and axe takes its time: one narrow and dark, one wide and light.
  for (const [width, colorScheme] of [[360, 'dark'], [1440, 'light']]) {
    // The page's own policy would keep axe out, and with it every script: that it does is tested below.
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
    const page = await context.newPage();
    const told = { file, colorScheme, width, console: [], requests: [], dialogs: 0 };
    page.on('console', (message) => told.console.push(message.text()));
    page.on('pageerror', (error) => told.console.push(String(error)));
    page.on('request', (request) => told.requests.push(request.url()));
    page.on('dialog', (dialog) => { told.dialogs += 1; dialog.dismiss(); });
    await page.goto(pathToFileURL(file).href);
    Object.assign(told, await page.evaluate(() => ({
      scrollWidth: document.documentElement.scrollWidth,
      innerWidth: window.innerWidth,
      scripts: document.querySelectorAll('script').length,
      handlers: [...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name))).length,
      foreign: [...document.querySelectorAll('[src],[href]')].map((e) => e.getAttribute('src') ?? e.getAttribute('href'))
        .filter((target) => !/^(#|data:,$)/.test(target)),
      charts: [...document.querySelectorAll('svg.c')].map((svg) => {
        const boxes = [...svg.querySelectorAll('path,rect,circle')].map((e) => e.getBBox());
        return boxes.filter((box) => box.width > 0 || box.height > 0).length;
      }),
      outside: [...document.querySelectorAll('svg.c text')].filter((e) => {
        const box = e.getBoundingClientRect();
        return box.width && (box.left < -1 || box.right > window.innerWidth + 1);
      }).map((e) => e.textContent),
      text: document.body.innerText,
    })));
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
    told.violations = found.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
      .map((v) => `${v.id}: ${v.help}: ${v.nodes[0].html.slice(0, 200)}`);
    if (width === 1440) {
      await page.keyboard.press('Tab');
      told.firstFocus = await page.evaluate(() => document.activeElement.textContent);
      await page.emulateMedia({ media: 'print' });
      told.printedDetails = await page.evaluate(() => [...document.querySelectorAll('details > :not(summary)')]
        .every((e) => e.getBoundingClientRect().height > 0));
    }
    seen.push(told);
    await context.close();
  }
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(pathToFileURL(file).href);
  const inert = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
    return window.ran !== true;
  });
  seen.push({ file, inert });
  await context.close();
}
await browser.close();
process.stdout.write(JSON.stringify(seen));
