//! A terminal that can be typed on and looked at.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::PATIENCE;
use crate::program::text;

/// A session of tmux, which ends with this value.
pub struct Tmux(String);

impl Tmux {
    pub fn run(name: &str, columns: u16, command: &str) -> Tmux {
        let server = format!("tlsheap-{name}-{}", std::process::id());
        let tmux = Tmux(server);
        let columns = columns.to_string();
        let size = ["-x", &columns, "-y", "24"];
        let session = ["-f", "/dev/null", "new-session", "-d", "-s", "w"];
        tmux.tell(&[&session[..], &size, &[command]].concat());
        tmux
    }

    pub fn tell(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").arg("-L").arg(&self.0).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn press(&self, key: &str) {
        self.tell(&["send-keys", "-t", "w", key]);
    }

    pub fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p", "-t", "w"])
    }

    pub fn shows(&self, words: &str) -> String {
        let mut last = String::new();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            last = self.screen();
            if last.contains(words) {
                return last;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{words:?} is not on the screen:\n{last}");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-L").arg(&self.0).arg("kill-server").output();
    }
}
