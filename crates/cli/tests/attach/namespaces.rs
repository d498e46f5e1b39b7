//! A process in a container: with other mounts, other process ids, and nothing that it could write.

use std::process::Command;

use crate::counts::is_counted_exactly;
use crate::process::{child, is_put_back};
use crate::program::path;
use crate::workshop::{Asked, Workshop};

#[test]
fn in_other_mount_and_process_namespaces_with_a_root_that_is_read_only() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make namespaces");
        return;
    }
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let script = format!("mount -o remount,bind,ro / && exec {}", path(&counted));
    let inside = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", &script];
    let mut program = Asked::spawn(Command::new("unshare").args(inside));
    let pid = child(program.child.id());
    is_counted_exactly(&mut program, pid, "a container");
    is_put_back(pid);
    assert_eq!(program.ask("again 5"), "given 1705 held 50");
    assert!(program.ends_well());
}
