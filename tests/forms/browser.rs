//! The page in a real browser: opened from disk, without a request or an error, narrow and wide, light and dark, on paper.

use crate::program;
use capstan_planner::finance::finance;
use capstan_report::html;
use capstan_types::blueprint::{Blueprint, Verdict};
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::Seconds;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A browser that is driven over HTTP (W3C WebDriver).
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.answer("DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Starts it; `None` where it is not here.
    fn start() -> Option<Browser> {
        let driver = program(&["chromedriver"], "browser")?;
        let chromium = program(&["chromium", "chromium-browser", "google-chrome"], "browser")?;
        let mut driver =
            Command::new(driver).arg("--port=0").stdout(Stdio::piped()).spawn().expect("the driver starts");
        let mut out = BufReader::new(driver.stdout.take().expect("an output"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(out.read_line(&mut line).expect("text") > 0, "the driver says no port");
            let said = line.trim_end().trim_end_matches('.').split("successfully on port ").nth(1);
            if let Some(port) = said.and_then(|port| port.parse().ok()) {
                break port;
            }
        };
        // A driver that cannot write any more ends.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let mut browser = Browser { driver, port, session: String::new() };
        let options = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "binary": chromium,
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
            },
        } } });
        let answer = browser.ask("POST", "/session", &options);
        browser.session = answer["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Some(browser)
    }

    /// Sends one request and returns the value of the answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.answer(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes)?;
        let answer: Value = serde_json::from_slice(&bytes)?;
        Ok(answer["value"].clone())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask("POST", &format!("/session/{}{path}", self.session), body);
        assert!(answer.get("error").is_none(), "{path}: {answer}");
        answer
    }

    fn open(&self, page: &Path) {
        self.post("/url", &json!({ "url": format!("file://{}", page.display()) }));
    }

    fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn development(&self, command: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    fn width(&self, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.development("Emulation.setDeviceMetricsOverride", &size);
    }

    fn theme(&self, theme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.development("Emulation.setEmulatedMedia", &media);
    }
}

/// Returns the smallest contrast of text that is shown against the page (WCAG 2.2, relative luminance).
const CONTRAST: &str = r#"
const rgb = (text) => text.match(/[\d.]+/g).map(Number);
const light = (c) => { const [r, g, b] = rgb(c).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!c.endsWith(", 0)")) return c; } return "rgb(255,255,255)"; };
let least = 99, where = "";
for (const e of document.querySelectorAll("h1,h2,p,td,th button,dt,dd,li,a,figcaption,summary,label,footer")) {
  if (!e.textContent.trim() || !e.offsetParent) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < least) { least = ratio; where = e.tagName + "." + e.className + " " + e.textContent.slice(0, 40); }
}
return [least, where];
"#;

const SORTED: &str = r#"
const table = [...document.querySelectorAll("table.sortable")].find((t) => t.tBodies[0].rows.length > 3);
const column = [...table.tHead.rows[0].cells].findIndex((c) => c.classList.contains("n"));
const cells = () => [...table.tBodies[0].rows].map((r) => parseFloat(r.cells[column].textContent.replace(/,/g, "")));
const button = table.tHead.rows[0].cells[column].querySelector("button");
const foot = table.tFoot ? table.tFoot.textContent : "";
button.click();
const up = cells();
button.click();
return [up, cells(), table.tHead.rows[0].cells[column].getAttribute("aria-sort"), foot === (table.tFoot ? table.tFoot.textContent : "")];
"#;

fn page(folder: &Path) -> std::path::PathBuf {
    page_of(folder, &chat_blueprint())
}

fn page_of(folder: &Path, blueprint: &Blueprint) -> std::path::PathBuf {
    let file = folder.join("report.html");
    fs::write(&file, html(blueprint, &finance(blueprint), &|_| None).unwrap()).expect("writable");
    file
}

#[test]
fn the_page_holds_in_a_browser() {
    let Some(browser) = Browser::start() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.open(&page(folder));
    let requests = browser.script("return performance.getEntriesByType('resource').map((e) => e.name);");
    assert_eq!(requests, json!([]), "the page asked for something");
    let landmarks = browser.script(
        "return ['header', 'main', 'footer', 'nav[aria-label]', '[role=search]', 'h1', 'html[lang]'].filter((s) => \
         document.querySelectorAll(s).length !== 1);",
    );
    assert_eq!(landmarks, json!([]), "landmarks are missing or there are two");
    let unnamed = browser.script(
        "return [...document.querySelectorAll('section')].filter((s) => \
         !document.getElementById(s.getAttribute('aria-labelledby'))).length;",
    );
    assert_eq!(unnamed, 0);
    let sorted = browser.script(SORTED);
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
    };
    let (up, down) = (numbers(&sorted[0]), numbers(&sorted[1]));
    assert!(up.len() > 3 && up.is_sorted() && down.iter().rev().is_sorted(), "{sorted}");
    assert_eq!((&sorted[2], &sorted[3]), (&json!("descending"), &json!(true)));
    let hidden = browser.script(
        "const box = document.getElementById('search'); box.value = 'no such word'; box.dispatchEvent(new \
         Event('input')); const n = [...document.querySelectorAll('tbody tr')].filter((r) => !r.hidden).length; \
         box.value = ''; box.dispatchEvent(new Event('input')); return n;",
    );
    assert_eq!(hidden, 0, "rows that do not hold the word are hidden");
    for (width, theme) in [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")] {
        browser.width(width);
        browser.theme(theme);
        let over = browser.script("return document.documentElement.scrollWidth - window.innerWidth;");
        assert!(over.as_i64().is_some_and(|over| over <= 0), "{width} px, {theme}: {over} px too wide");
        let contrast = browser.script(CONTRAST);
        assert!(contrast[0].as_f64().is_some_and(|ratio| ratio >= 4.5), "{width} px, {theme}: {contrast}");
    }
    let log = browser.post("/se/log", &json!({ "type": "browser" }));
    assert_eq!(log, json!([]), "the console is not silent");
}

/// Returns what the column of simulated latencies shows, sorted by its heading.
const LATENCIES: &str = r#"
const table = document.querySelector("[aria-labelledby=does-it-hold] table.sortable");
const column = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent.startsWith("Simulated"));
table.tHead.rows[0].cells[column].querySelector("button").click();
return [...table.tBodies[0].rows].map((r) => r.cells[column].textContent);
"#;

#[test]
fn columns_sort_by_what_is_meant_whatever_its_unit() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut blueprint = chat_blueprint();
    let verdict = blueprint.verdicts[0].clone();
    blueprint.verdicts = [1.25, 0.395, 150.0, 0.0009, 7300.0]
        .map(|seconds| Verdict { seen: Seconds(seconds), ..verdict.clone() })
        .to_vec();
    blueprint.trainings.truncate(1);
    browser.open(&page_of(folder.path(), &blueprint));
    let last = blueprint.trainings[0].end.to_string();
    let sorted = json!(["900 µs", "395 ms", "1.25 s", "2.50 min", "2.03 h", last]);
    assert_eq!(browser.script(LATENCIES), sorted, "a date is no number, and stands last");
}

/// Chooses the cost of a purchase as a keyboard does, and returns what is said of it: its text, where that stands, and how wide
/// the page has become.
const TOLD: &str = r#"
const cell = [...document.querySelectorAll("[aria-labelledby=what-to-buy] tbody td[aria-description^='sum of']")].pop();
cell.scrollIntoView({ block: "center" });
cell.focus();
const style = getComputedStyle(cell, "::after");
return [style.content, cell.getAttribute("aria-description"), style.position, document.documentElement.scrollWidth - innerWidth];
"#;

const ARROW: &str = r#"
const from = document.activeElement;
from.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
const to = document.activeElement;
return [to.cellIndex - from.cellIndex, from.tabIndex, to.tabIndex, to.closest("table").querySelectorAll("[aria-description][tabindex='0']").length];
"#;

#[test]
fn a_number_says_where_it_comes_from_to_a_keyboard_and_to_a_pointer() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    browser.open(&page(folder.path()));
    for (width, theme) in [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")] {
        browser.width(width);
        browser.theme(theme);
        let told = browser.script(TOLD);
        let text = told[1].as_str().expect("an origin");
        assert!(
            text.contains("node-h × unit price") && text.contains("aws us-east-1, price as of"),
            "{text}"
        );
        assert_eq!(
            (&told[0], &told[2]),
            (&json!(format!("\"{text}\"")), &json!("fixed")),
            "{width} px, {theme}"
        );
        assert!(told[3].as_i64().is_some_and(|over| over <= 0), "{width} px, {theme}: {told}");
    }
    assert_eq!(browser.script(ARROW), json!([-1, -1, 0, 1]), "arrows move, and the table stays one stop");
    let escape = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })); \
                  return getComputedStyle(document.activeElement, '::after').content;";
    assert_eq!(browser.script(escape), json!("none"), "Escape hides it");
    let place = browser.script(
        "document.activeElement.blur(); const cell = document.querySelector('[aria-labelledby=does-it-hold] \
         td[aria-description]'); cell.scrollIntoView({ block: 'center' }); const box = cell.getBoundingClientRect(); \
         return [box.x + box.width / 2, box.y + box.height / 2];",
    );
    browser.development(
        "Input.dispatchMouseEvent",
        &json!({ "type": "mouseMoved", "x": place[0], "y": place[1] }),
    );
    let hovered = "return getComputedStyle(document.querySelector('[aria-labelledby=does-it-hold] td[aria-description]'), \
                   '::after').content;";
    let said = browser.script(hovered);
    assert!(said.as_str().is_some_and(|text| text.contains("in 8 replications")), "{said}");
    browser.development("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    let printed = browser.script(&hovered.replace("content", "display"));
    assert_eq!(printed, json!("none"), "nothing of it on paper");
}

#[test]
fn the_page_prints_on_a4() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    browser.open(&page(folder.path()));
    browser.development("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    // A4 less its margins, at 96 points to the inch.
    browser.width(703);
    let wide = browser.script(
        "return [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 704 && \
         !e.closest('svg') && !e.closest('pre')).map((e) => e.tagName + ' ' + e.textContent.slice(0, 60)).slice(0, 3);",
    );
    assert_eq!(wide, json!([]), "something is cut off on paper");
    let shown = browser.script("return getComputedStyle(document.querySelector('.tools')).display;");
    assert_eq!(shown, "none");
    let a4 = json!({ "page": { "width": 21.0, "height": 29.7 }, "shrinkToFit": false });
    let pdf = browser.post("/print", &a4);
    assert!(pdf.as_str().is_some_and(|text| text.starts_with("JVBER")), "no PDF");
}
