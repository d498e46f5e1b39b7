//! What a program costs that was attached to and let go, beside two that never were: the instructions
//! of the same work, one by one, so that no other load on the machine is in it.
//!
//!     cargo build --release -p preload
//!     cc -O2 -o counted fixtures/attach/counted.c -l:libcrypto.so.3
//!     cargo run --release -p attach --example after -- ./counted [ALLOCATIONS]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};

use contract::Scope;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let program = words.first().expect("a program built from fixtures/attach/counted.c");
    let work = format!("again {}", words.get(1).map_or("1000", String::as_str));
    let mut all = [(); 3].map(|()| Program::start(program));
    for program in &mut all {
        // What is done once is done.
        program.ask(&work);
    }
    attach_and_let_go(&mut all[2], &work);
    let names = ["one that never was", "another that never was", "one that was, and was let go"];
    for (program, name) in all.iter_mut().zip(names) {
        // Slots that were put back are filled at their first use.
        program.ask(&work);
        let counts = [(); 3].map(|()| program.instructions(&work));
        println!("{name}: {counts:?} instructions for {work}");
    }
}

/// Has it work meanwhile.
fn attach_and_let_go(program: &mut Program, work: &str) {
    let pid = program.child.id();
    let library = fs::read("target/release/libtlsheap_preload.so").expect("it was built");
    let folder = std::env::temp_dir().join(format!("tlsheap-after-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder for temporary files");
    let path = folder.join(format!("{pid}-0-0.ledger"));
    let ledger = File::options().read(true).write(true).create_new(true).open(path);
    let ledger = ledger.expect("a new file");
    attach::attach(pid, &library, Scope::Everything, ledger.as_fd(), &folder).expect("attached");
    program.ask(work);
    attach::detach(pid, &library).expect("let go");
    fs::remove_dir_all(&folder).expect("it is ours");
}

struct Program {
    child: Child,
    said: std::io::Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(program: &str) -> Program {
        let mut command = Command::new(program);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut program = Program { child, said };
        program.hear();
        program
    }

    fn hear(&mut self) -> String {
        self.said.next().expect("it is there").expect("a line")
    }

    fn ask(&mut self, order: &str) {
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{order}").expect("it listens");
        self.hear();
    }

    /// The instructions from the order to the answer.
    fn instructions(&mut self, order: &str) -> u64 {
        let pid = self.child.id() as i32;
        trace(libc::PTRACE_SEIZE, pid);
        // It waits for an order.
        trace(libc::PTRACE_INTERRUPT, pid);
        wait(pid);
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{order}").expect("it listens");
        let mut steps = 0;
        while !is_about_to_write(pid) {
            trace(libc::PTRACE_SINGLESTEP, pid);
            wait(pid);
            steps += 1;
        }
        trace(libc::PTRACE_DETACH, pid);
        self.hear();
        steps
    }
}

fn trace(request: libc::c_uint, pid: i32) {
    // SAFETY: none of these requests has an address, and no signal is passed on.
    let answer = unsafe { libc::ptrace(request, pid, 0, 0) };
    assert!(answer >= 0, "{}", std::io::Error::last_os_error());
}

fn wait(pid: i32) {
    let mut status = 0;
    // SAFETY: a place for the status.
    let found = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert!(found == pid && libc::WIFSTOPPED(status), "it has ended");
}

/// Whether the next instruction makes the system call that says the answer.
#[cfg(target_arch = "x86_64")]
fn is_about_to_write(pid: i32) -> bool {
    const SYSCALL: libc::c_long = 0x050f;
    // SAFETY: all-zero registers are numbers.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: a place for the registers of a process that has stopped.
    let answer = unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers) };
    assert!(answer >= 0, "{}", std::io::Error::last_os_error());
    if registers.rax != libc::SYS_write as u64 || registers.rdi != 1 {
        return false;
    }
    // SAFETY: an address in the process, which is read there.
    let code = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, pid, registers.rip, 0) };
    code & 0xffff == SYSCALL
}

#[cfg(not(target_arch = "x86_64"))]
fn is_about_to_write(_pid: i32) -> bool {
    panic!("attaching is written for x86-64");
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
