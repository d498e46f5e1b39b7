//! What was found in a program or process.

use std::path::Path;

use serde::Serialize;

use super::loader::Loaded;
use super::object::{Object, Tls};

/// What `tlsheap doctor PROGRAM|PID --json` prints.
#[derive(Debug, Serialize)]
pub struct Examined {
    /// The version of this shape.
    pub schema: u32,
    /// The program's file.
    pub program: String,
    /// The script that it runs; `null` when none was named.
    pub script: Option<String>,
    /// The process; `null` for a program that is not running.
    pub pid: Option<u32>,
    /// Why nothing can be preloaded into it; `null` when it can.
    pub obstacle: Option<String>,
    /// Objects that were looked at: the program and its libraries.
    pub objects: usize,
    /// Every TLS library in them.
    pub libraries: Vec<Tls>,
    /// Libraries that were not found or could not be read, and who needs them.
    pub unresolved: Vec<String>,
    /// What cannot be known, or should be, in sentences.
    pub notes: Vec<String>,
    /// Something can be recorded.
    pub recordable: bool,
    /// Whether `record --pid` can attach to the process as it is now; `null` for a program that is
    /// not running.
    pub attachable: Option<bool>,
}

impl Examined {
    /// Of a program that is not running.
    pub fn of_program(path: &Path, loaded: &Loaded, obstacle: Option<&str>) -> Examined {
        let mut examined = Examined::new(path, &loaded.objects, obstacle);
        examined.unresolved.clone_from(&loaded.missing);
        let later = loaded.objects.iter().find(|object| object.loads_later);
        if let Some(object) = later.filter(|_| obstacle.is_none()) {
            examined.notes.push(format!(
                "{} can load libraries while it runs, which cannot be known from files: an OpenSSL \
                 in them is recorded when it comes; ask about the id of a running process to see \
                 it",
                object.path.display()
            ));
        }
        examined
    }

    /// Of a process.
    pub fn of_process(
        pid: u32,
        path: &Path,
        objects: &[Object],
        obstacle: Option<&str>,
    ) -> Examined {
        Examined { pid: Some(pid), ..Examined::new(path, objects, obstacle) }
    }

    fn new(path: &Path, objects: &[Object], obstacle: Option<&str>) -> Examined {
        let program = path.display().to_string();
        let mut libraries: Vec<Tls> =
            objects.iter().flat_map(|object| object.tls.clone()).collect();
        for tls in libraries.iter_mut().filter(|tls| obstacle.is_some() && tls.recordable) {
            tls.recordable = false;
            "nothing can be preloaded into the program".clone_into(&mut tls.why);
        }
        Examined {
            schema: 1,
            script: None,
            pid: None,
            obstacle: obstacle.map(|obstacle| format!("{program} {obstacle}")),
            objects: objects.len(),
            recordable: libraries.iter().any(|tls| tls.recordable),
            libraries,
            program,
            unresolved: Vec::new(),
            notes: Vec::new(),
            attachable: None,
        }
    }

    /// Says that the program is the interpreter of a script.
    pub fn is_run_by(&mut self, script: &Path) {
        self.script = Some(script.display().to_string());
        let name = self.program.rsplit('/').next().unwrap_or_default();
        if ["sh", "bash", "dash", "zsh", "ksh"].contains(&name) {
            self.notes.push(format!(
                "{} starts other programs: what they use is recorded too, and each can be asked \
                 about by its name",
                script.display()
            ));
        }
    }

    /// Adds a sentence.
    pub fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Whether it can be recorded, in a sentence.
    pub fn verdict(&self) -> String {
        let recordable = self.libraries.iter().filter(|tls| tls.recordable).count();
        match (&self.obstacle, self.libraries.len()) {
            (Some(obstacle), _) => format!("nothing can be recorded: {obstacle}"),
            (None, 0) => "nothing can be recorded so far: there is no TLS library in it that \
                          tlsheap knows"
                .to_owned(),
            (None, _) if recordable == 0 => "nothing can be recorded".to_owned(),
            (None, all) if recordable < all => {
                format!("{recordable} of {all} TLS libraries can be recorded")
            }
            (None, _) => "everything can be recorded".to_owned(),
        }
    }
}
