//! A page in a real browser: headless Chromium loads it, a script asks it questions, and the
//! answers come back as JSON. Whatever the browser complains about on its console fails the test.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Where Debian, Ubuntu and others put it.
const PLACES: [&str; 4] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/snap/bin/chromium",
];

/// More than a page takes on a slow and busy machine: only a hang is cut short.
const PATIENCE: Duration = Duration::from_secs(120);

/// Finds an installed Chromium.
pub struct Browser(PathBuf);

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A window of a desktop computer.
    Desktop,
    /// The same at night.
    Dark,
    /// A frame of 360 pixels, as wide as a small phone. Windows cannot be that narrow.
    Phone,
}

impl Browser {
    /// The browser for the test `name`. Without one, the test is skipped by name; where CI is
    /// said to be running, it fails and says what to install.
    pub fn for_test(name: &str) -> Option<Browser> {
        if let Some(found) = PLACES.iter().map(Path::new).find(|path| path.exists()) {
            return Some(Browser(found.to_owned()));
        }
        let missing = "no Chromium: install it with `apt-get install chromium`";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{name}: {missing}");
        eprintln!("skipped: {name}: {missing}");
        None
    }

    /// Loads `page` and returns what `script`, the body of a function, returns.
    pub fn ask(&self, page: &str, view: View, script: &str) -> Value {
        self.ask_at(page, view, "", script)
    }

    /// The same of the page at `fragment` of its address, which begins with `#` or is empty.
    pub fn ask_at(&self, page: &str, view: View, fragment: &str, script: &str) -> Value {
        let place = TempDir::new().unwrap();
        let asked = asking(page, view, script);
        let file = place.path().join("page.html");
        fs::write(&file, asked).unwrap();
        let mut command = assert_cmd::Command::new(&self.0);
        command.args(["--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]);
        // Root, as in a container, gets no sandbox; the page is ours.
        command.args(["--no-sandbox", "--disable-dev-shm-usage"]);
        command.args(["--window-size=1280,900", "--enable-logging=stderr", "--dump-dom"]);
        if view == View::Dark {
            command.arg("--blink-settings=preferredColorScheme=0");
        }
        command.arg(format!("--user-data-dir={}", place.path().join("profile").display()));
        command.arg(format!("file://{}{fragment}", file.display()));
        let output = command.timeout(PATIENCE).output().expect("Chromium can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        let complaints: Vec<&str> = said.lines().filter(|line| line.contains(":CONSOLE")).collect();
        assert_eq!(complaints, [""; 0], "on the browser's console");
        let document = String::from_utf8_lossy(&output.stdout);
        let answer = document.split("<pre id=\"answer\">").nth(1).and_then(|rest| {
            let json = rest.split("</pre>").next()?;
            serde_json::from_str::<Value>(json).ok()
        });
        let answer = answer.unwrap_or_else(|| panic!("no answer: {}\n{said}", output.status));
        assert_eq!(answer["failure"], Value::Null, "in the page");
        answer["answer"].clone()
    }
}

/// The page with the question at its end, or a page around it that asks it.
fn asking(page: &str, view: View, script: &str) -> String {
    let question = format!(
        "<script>
{{
  const note = (found) => {{
    const text = document.createElement('pre');
    text.id = 'answer';
    // So that no character of it needs an entity.
    const plain = (c) => '\\\\u' + c.charCodeAt(0).toString(16).padStart(4, '0');
    text.textContent = JSON.stringify(found).replace(/[<>&\\u00a0]/g, plain);
    document.body.append(text);
  }};
  const ask = (window, document) => {{
    {script}
  }};
  addEventListener('load', () => {{
    const framed = document.querySelector('iframe#phone');
    const view = framed ? framed.contentWindow : window;
    try {{
      note({{ answer: ask(view, view.document) ?? null }});
    }} catch (error) {{
      note({{ failure: String(error.stack) }});
    }}
  }});
}}
</script>"
    );
    if view == View::Phone {
        let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
        return format!(
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>phone</title><body>\
             <iframe id=\"phone\" width=\"360\" height=\"740\" style=\"border:0\" \
             srcdoc=\"{quoted}\"></iframe>{question}"
        );
    }
    let end = page.rfind("</body>").expect("the page has an end");
    format!("{}{question}{}", &page[..end], &page[end..])
}
