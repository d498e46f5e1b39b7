//! Stands in for crates.io's `openssl-src` (see `[patch.crates-io]` in the workspace): the same
//! OpenSSL build, from the same crates.io sources, but with zlib in it.
//!
//! The upstream crate always configures `no-comp no-zlib`, and record compression is half of what
//! this project is about. Upstream does the work; a script that runs in perl's place edits the
//! words of `./Configure`. The build is kept in `<target dir>/openssl/<key>` and shared by the
//! profiles, since it takes minutes and does not depend on them.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, process};

/// The script that runs in perl's place.
const CONFIGURE: &str = include_str!("../configure.sh");

/// The version of the crate, as upstream has it.
pub fn version() -> &'static str {
    upstream::version()
}

/// The directory of OpenSSL's sources.
pub fn source_dir() -> PathBuf {
    upstream::source_dir()
}

/// A build of OpenSSL with zlib; the part of upstream's interface that openssl-sys uses.
#[derive(Debug, Default)]
pub struct Build {
    openssl_dir: Option<PathBuf>,
}

/// What was built.
#[derive(Debug)]
pub struct Artifacts {
    install: PathBuf,
}

impl Build {
    /// A build for the target of the running build script.
    pub fn new() -> Build {
        Build::default()
    }

    /// Where OpenSSL looks for its configuration at run time.
    pub fn openssl_dir<P: AsRef<Path>>(&mut self, path: P) -> &mut Build {
        self.openssl_dir = Some(path.as_ref().to_path_buf());
        self
    }

    /// Builds OpenSSL, or finds it built. Ends the build script with a sentence when it fails.
    pub fn build(&mut self) -> Artifacts {
        self.try_build().unwrap_or_else(|message| {
            println!("cargo::error=OpenSSL with zlib could not be built: {message}");
            process::exit(1)
        })
    }

    fn try_build(&self) -> Result<Artifacts, String> {
        let root = self.root()?;
        fs::create_dir_all(&root).map_err(|e| format!("{}: {e}", root.display()))?;
        // Two profiles, or two cargos, may want it at once: the second waits, then finds it.
        let lock = File::create(root.join("lock")).map_err(|e| format!("lock file: {e}"))?;
        lock.lock().map_err(|e| format!("lock file: {e}"))?;

        let install = root.join("install");
        let finished = root.join("finished");
        if !finished.exists() {
            self.run_upstream(&root)?;
            require_zlib(&install.join("include/openssl/opensslv.h"), &install)?;
            File::create(&finished).map_err(|e| format!("{}: {e}", finished.display()))?;
        }
        println!("cargo::rerun-if-changed={}", finished.display());
        Ok(Artifacts { install })
    }

    fn run_upstream(&self, root: &Path) -> Result<(), String> {
        let script = root.join("configure.sh");
        fs::write(&script, CONFIGURE).map_err(|e| format!("{}: {e}", script.display()))?;
        make_executable(&script)?;

        let perl = env::var("OPENSSL_SRC_PERL").or_else(|_| env::var("PERL"));
        let mut build = upstream::Build::new();
        build.out_dir(root);
        if let Some(directory) = &self.openssl_dir {
            build.openssl_dir(directory);
        }
        // SAFETY: `set_var` must not race with another thread that reads or writes the
        // environment. This is openssl-sys's build script, which has started no thread.
        unsafe {
            env::set_var("TLSHEAP_PERL", perl.as_deref().unwrap_or("perl"));
            env::set_var("TLSHEAP_ZLIB_INCLUDE", env!("TLSHEAP_ZLIB_INCLUDE"));
            env::set_var("OPENSSL_SRC_PERL", &script);
        }
        build.try_build().map(|_| ())
    }

    /// `<target dir>/openssl/<key>`, where the key stands for everything that shapes the build.
    fn root(&self) -> Result<PathBuf, String> {
        let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
        // <target dir>/[<triple>/]<profile>/build/<package>-<hash>/out
        let profile = out_dir.ancestors().nth(3).ok_or("OUT_DIR is too short")?;
        let parent = profile.parent().ok_or("OUT_DIR is too short")?;

        let mut key = DefaultHasher::new();
        (upstream::version(), CONFIGURE, &self.openssl_dir).hash(&mut key);
        for name in ["TARGET", "CC", "CFLAGS", "AR", "RANLIB", "RUSTFLAGS"] {
            env::var_os(name).hash(&mut key);
        }
        Ok(parent.join("openssl").join(format!("{:016x}", key.finish())))
    }
}

/// Fails when the installed headers say that compression was left out.
fn require_zlib(version_header: &Path, install: &Path) -> Result<(), String> {
    let configuration = install.join("include/openssl/configuration.h");
    let text = fs::read_to_string(&configuration)
        .map_err(|e| format!("{}: {e}", configuration.display()))?;
    let left_out = |word: &str| {
        text.lines()
            .any(|line| line.trim_start_matches(['#', ' ']).trim() == format!("define {word}"))
    };
    if !version_header.exists() || left_out("OPENSSL_NO_COMP") || left_out("OPENSSL_NO_ZLIB") {
        return Err(format!("{} says that zlib was left out", configuration.display()));
    }
    Ok(())
}

fn make_executable(script: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(script, fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("{}: {e}", script.display()))
}

impl Artifacts {
    /// Where the headers are.
    pub fn include_dir(&self) -> PathBuf {
        self.install.join("include")
    }

    /// Where the static libraries are.
    pub fn lib_dir(&self) -> PathBuf {
        self.install.join("lib")
    }
}
