//! The machine, the versions and the commit that figures belong to.

use std::process::Command;

/// Lines that name the processor, the kernel, the C library, the peers that are installed, and the
/// commit that is checked out.
pub fn lines() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().map(|line| line.trim().to_owned())
    };
    let mut lines = Vec::new();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    lines.push(format!(
        "machine: {} × {processors}, Linux {}, {}",
        processor.unwrap_or_default().trim_start_matches(['\t', ':', ' ']),
        said("uname", &["-r"]).unwrap_or_default(),
        said("ldd", &["--version"]).unwrap_or_default(),
    ));
    for (program, argument) in
        [("heaptrack", "--version"), ("valgrind", "--version"), ("memray", "--version")]
    {
        if let Some(version) = said(program, &[argument]) {
            lines.push(format!("version: {program}: {version}"));
        }
    }
    for package in ["libjemalloc2", "libgoogle-perftools4", "libssl3"] {
        let format = "-f=${Package} ${Version}";
        if let Some(version) = said("dpkg-query", &["-W", format, package]) {
            lines.push(format!("version: {version}"));
        }
    }
    let commit = said("git", &["describe", "--always", "--dirty"]).unwrap_or_default();
    lines.push(format!("commit: {commit}"));
    lines.join("\n")
}
