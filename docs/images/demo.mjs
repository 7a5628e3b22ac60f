// Takes the pictures of the demo, and fails if the page says anything on the console.
//
//     node demo.mjs http://127.0.0.1:8000 FOLDER      (scripts/screenshots does all of it)

import { chromium } from "playwright-core";

const [url, folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" });
const said = [];

async function visit(width, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  await page.goto(url);
  return page;
}

async function shop(page) {
  for (const name of ["lantern", "rope", "rope"]) await page.click(`button[name=product][value=${name}]`);
  await page.fill("#name", "Ada");
  await page.fill("#password", "moored");
  await page.click("#sign-in");
  await page.waitForSelector(".devices");
}

async function breakIt(page) {
  for (const [name, end] of [["corks", ".numbers"], ["tabs", ".numbers"], ["race", ".verdict"]]) {
    await page.click(`[data-scene=${name}]`);
    await page.waitForSelector(`#${name}-result ${end}`, { timeout: 20_000 });
    await page.waitForSelector(`[data-scene=${name}]:not([aria-disabled])`);
  }
  for (const bad of await page.$$(".bad dd, .verdict.bad")) said.push(`lost: ${await bad.textContent()}`);
}

async function picture(page, name) {
  await page.locator("#said:empty").waitFor({ state: "attached" });
  await page.mouse.move(0, 0);
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  const { clientWidth, scrollWidth } = await page.evaluate(() => document.documentElement);
  if (scrollWidth > clientWidth) said.push(`${name}: wider than the window`);
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [390, "light"], [390, "dark"]]) {
  const page = await visit(width, scheme);
  await shop(page);
  await breakIt(page);
  await picture(page, `demo-${width}-${scheme}`);
}
await browser.close();
if (said.length) {
  console.error(said.join("\n"));
  process.exit(1);
}
