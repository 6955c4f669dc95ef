// node check.js PICTURES PAGE...: opens each page in headless Chromium as people do (narrow and wide, light and dark, by keyboard,
// without script, printed) and ends with 1 if something is wrong. Needs puppeteer-core and axe-core beside it, CHROMIUM names the browser.
"use strict";
const fs = require("fs");
const path = require("path");
const puppeteer = require("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const OPEN_MS_MAX = 1000;
const ROWS_FOR_AXE = 60;
const [pictures, ...pages] = process.argv.slice(2);
let wrong = 0;
const check = (is, what) => {
  if (!is) wrong += 1;
  console.log(`${is ? "ok  " : "FAIL"} ${what}`);
};

async function opened(browser, file, { width, scheme, script = true }) {
  const page = await browser.newPage();
  const seen = { requests: [], messages: [] };
  page.on("request", request => seen.requests.push(request.url()));
  page.on("console", message => seen.messages.push(message.text()));
  page.on("pageerror", error => seen.messages.push(String(error)));
  await page.setViewport({ width, height: width < 500 ? 844 : 900, isMobile: width < 500, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setJavaScriptEnabled(script);
  await page.goto(`file://${file}`, { waitUntil: "load" });
  return { page, seen };
}

async function looks(browser, file, name, width, scheme) {
  const { page, seen } = await opened(browser, file, { width, scheme });
  const what = `${name}, ${width} px, ${scheme}`;
  const timed = () => page.evaluate(() => new Promise(done => requestAnimationFrame(() => setTimeout(() => {
    const entry = performance.getEntriesByType("navigation")[0];
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    done({ load: entry.loadEventEnd, paint: paint ? paint.startTime : 0 });
  }))));
  // The best of three: the machine may do other things, too.
  let ms = Infinity;
  for (let n = 0; n < 3; n++) {
    const times = await timed();
    ms = Math.min(ms, Math.max(times.load, times.paint));
    if (ms < OPEN_MS_MAX) break;
    await page.reload({ waitUntil: "load" });
  }
  check(ms < OPEN_MS_MAX, `${what}: open after ${ms.toFixed(0)} ms`);
  const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  check(over <= 0, `${what}: nothing is wider than the screen (${over})`);
  check(seen.requests.every(url => url === `file://${file}`), `${what}: nothing is loaded ${seen.requests}`);
  check(seen.messages.length === 0, `${what}: nothing is complained of ${seen.messages}`);
  check(await page.title() !== "owned", `${what}: no task has run`);
  await page.screenshot({ path: path.join(pictures, `${name}-${width}-${scheme}.png`) });
  // Of thousands of rows and bars that are alike it looks at some: it takes half an hour for all of them.
  const keep = (selector, count) => page.$$eval(selector, (all, count) => all.slice(count).forEach(one => one.remove()), count);
  await keep(".all tbody tr", ROWS_FOR_AXE);
  await keep("[data-row]", ROWS_FOR_AXE);
  await page.evaluate(() => document.querySelectorAll("details").forEach((one, n) => (one.open = n % 3 === 0)));
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map(one => `${one.impact} ${one.id}: ${one.nodes.length} × ${one.nodes[0].html.slice(0, 120)} ${one.nodes[0].failureSummary}`);
  const serious = found.violations.filter(one => ["serious", "critical"].includes(one.impact));
  check(serious.length === 0, `${what}: axe finds nothing serious; in all ${told.length}${told.map(one => `\n       ${one}`).join("")}`);
  await page.close();
}

/** Filter, story and timeline, by keyboard. */
async function works(browser, file, name) {
  const { page } = await opened(browser, file, { width: 1280, scheme: "light" });
  const rows = () => page.$$eval(".all tbody tr", all => all.filter(row => !row.hidden).length);
  const all = await rows();
  await page.select(".filter select", "failed");
  const failed = await rows();
  const told = await page.$eval(".filter output", output => output.textContent);
  check(failed < all && told === `${failed} of ${all} shown`, `${name}: the filter of states (${told})`);
  await page.select(".filter select", "");
  await page.type(".filter input", "flaky checkout");
  await page.waitForFunction(count => document.querySelector(".filter output").textContent !== count, {}, told).catch(() => {});
  await new Promise(done => setTimeout(done, 400));
  check((await rows()) > 0 && (await rows()) < all, `${name}: the filter of words (${await rows()} of ${all})`);
  let steps = 0;
  while (steps++ < 60 && !(await page.evaluate(() => document.activeElement.tagName === "SUMMARY"))) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  check(await page.evaluate(() => document.activeElement.parentElement.open === true), `${name}: a story opens by keyboard, after ${steps} steps`);
  await page.screenshot({ path: path.join(pictures, `${name}-story.png`) });
  await page.evaluate(() => document.querySelectorAll("details").forEach(one => (one.open = false)));
  const bar = await page.$("rect[data-row]");
  await bar.evaluate(one => one.dispatchEvent(new MouseEvent("click", { bubbles: true })));
  check(await page.evaluate(() => document.querySelector("details[open]") !== null), `${name}: a bar opens its story`);
  const links = await page.$$eval("a", all => all.map(one => one.href));
  check(links.length > 0 && links.every(link => link.startsWith("https://github.com/")), `${name}: the only links are those to pull requests`);
  const pdf = await page.pdf({ format: "A4", timeout: 300000 });
  check(pdf.length > 20000, `${name}: printed, ${pdf.length} bytes`);
  await page.emulateMediaType("print");
  await page.screenshot({ path: path.join(pictures, `${name}-print.png`) });
  await page.close();
}

async function reads_without_script(browser, file, name) {
  const { page } = await opened(browser, file, { width: 390, scheme: "light", script: false });
  const words = await page.$eval("body", body => body.innerText);
  check(words.includes("Timeline") && words.includes("completed"), `${name}: read without script`);
  await (await page.$("summary")).click();
  check(await page.$eval("details", one => one.open), `${name}: a story opens without script`);
  check(await page.$eval(".filter", one => one.hidden), `${name}: no filter that does nothing`);
  await page.screenshot({ path: path.join(pictures, `${name}-without-script.png`) });
  await page.close();
}

(async () => {
  const args = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"];
  const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM, headless: true, args, protocolTimeout: 600000 });
  try {
    for (const file of pages) {
      const name = path.basename(file, ".html");
      for (const width of [390, 1280]) for (const scheme of ["light", "dark"]) await looks(browser, file, name, width, scheme);
    }
    const [many] = pages.slice(-1);
    const name = path.basename(many, ".html");
    await works(browser, many, name);
    await reads_without_script(browser, many, name);
  } finally {
    await browser.close();
  }
  console.log(wrong === 0 ? "the page is right" : `${wrong} things are wrong`);
  process.exitCode = wrong === 0 ? 0 : 1;
})();
