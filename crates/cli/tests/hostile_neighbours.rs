//! What processes of other users can put into the folder of ledgers of a recording that root makes:
//! recorded ones, for nobody else knows its name.

mod program;
mod recorded;

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use program::text;
use recorded::{installed, tlsheap_record};
use serde_json::Value;
use tempfile::TempDir;

/// Forks a child that becomes nobody, does `DOES` in the folder of ledgers, and says so. The
/// program waits until it was looked at twice since, which the captures of a series show.
const PROGRAM: &str = "\
import glob, os, ssl, struct, sys, time
looks = lambda: len(glob.glob(sys.argv[1] + '/.run.*/series/*.pb.gz'))
kept = ssl.SSLContext(ssl.PROTOCOL_TLS)
folder = os.environ['TLSHEAP_LEDGER_DIR']
child = os.fork()
if child == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    os.umask(0)
    put = lambda name: os.path.join(folder, name)
DOES
    print('done', flush=True)
    os._exit(0)
os.waitpid(child, 0)
before = looks()
while looks() < before + 2:
    time.sleep(0.02)
";

/// Records the program. Its script is kept out of `run.json`, which is looked through for words.
/// `None` where that cannot be tried.
fn recorded(child_does: &str, arguments: &[&str]) -> Option<(Value, String)> {
    if !installed("python3") {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root's recordings have processes of other users");
        return None;
    }
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let does = format!("    {}\n", child_does.replace('\n', "\n    "));
    let script = PROGRAM.replace("DOES\n", &does);
    let program = [&["python3", "-c", &script, program::path(place.path())], arguments].concat();
    let output =
        tlsheap_record(&folder, &["--no-arguments", "--every=250ms", "--only=openssl"], &program);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert_eq!(text(&output.stdout), "done\n", "{words}");
    let json = fs::read_to_string(folder.join("run.json")).unwrap();
    Some((serde_json::from_str(&json).unwrap(), words))
}

/// The sentences of what was not seen that say `what`.
fn problems(record: &Value, what: &str) -> usize {
    let said = record["problems"].as_array().unwrap().iter();
    said.filter(|said| said.as_str().unwrap().contains(what)).count()
}

#[test]
fn pipes_devices_and_links_are_named_and_neither_waited_for_nor_read() {
    let secret = TempDir::new().unwrap();
    let file = secret.path().join("secret");
    fs::write(&file, "the first line of a secret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let does = "\
for at, kind in enumerate(['coverage', 'ledger']):
    os.mkfifo(put(f'{at}1-1-0.{kind}'))
    os.symlink('/dev/zero', put(f'{at}2-1-0.{kind}'))
    os.symlink(sys.argv[2], put(f'{at}3-1-0.{kind}'))
    os.mkdir(put(f'{at}4-1-0.{kind}'))
open(put('\\x1b]0;owned\\x07'), 'w').write('hello')
with open(put('91-1.coverage'), 'w') as large:
    large.truncate(1 << 40)
with open(put('92-1-0.ledger'), 'w') as large:
    large.truncate(1 << 40)
open(put('93-1.coverage'), 'w').write('text of another kind\\n')";
    let Some((record, words)) = recorded(does, &[program::path(&file)]) else { return };
    assert_eq!(record["processes"].as_array().unwrap().len(), 1, "{record:#}");
    assert_eq!(problems(&record, "is not a regular file"), 8, "{record:#}");
    assert_eq!(problems(&record, "is larger than"), 2, "{record:#}");
    assert_eq!(problems(&record, "1 file in "), 1, "{record:#}");
    assert_eq!(problems(&record, "93-1.coverage: offset 0"), 1, "{record:#}");
    for said in [record.to_string(), words] {
        assert!(!said.contains("a secret") && !said.contains("of another kind"), "{said}");
        assert!(!said.contains("owned"), "{said}");
    }
}

#[test]
fn a_ledger_that_claims_to_be_another_users_process_is_left_out_and_said() {
    let does = "\
parent = os.getppid()
own = ssl.SSLContext(ssl.PROTOCOL_TLS)
maps = open('/proc/self/maps').read().split()
genuine, = {path for path in maps if path.endswith('.ledger') and f'/{os.getpid()}-' in path}
content = open(genuine, 'rb').read()
def forge(name, pid):
    with open(put('being-made'), 'wb') as file:
        for at in range(0, len(content), 65536):
            if any(content[at:at + 65536]):
                os.pwrite(file.fileno(), content[at:at + 65536], at)
        os.ftruncate(file.fileno(), len(content))
        os.pwrite(file.fileno(), struct.pack('<Q', pid), int(sys.argv[2]))
    os.rename(put('being-made'), put(name))
forge(f'{parent}-1-0.ledger', parent)
forge(f'{parent}-1-1.ledger', 1)";
    let pid = offset_of!(ledger::layout::Header, pid).to_string();
    let Some((record, _)) = recorded(does, &[&pid]) else { return };
    let processes = record["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 2, "the program and its child: {record:#}");
    assert_ne!(processes[0]["pid"], processes[1]["pid"]);
    assert_eq!(problems(&record, "belongs to user 65534"), 1, "{record:#}");
    assert_eq!(problems(&record, "it was left out as forged"), 1, "{record:#}");
    assert_eq!(problems(&record, "claims to be of process 1"), 1, "{record:#}");
}

#[test]
fn nobody_else_can_find_the_folder_of_ledgers() {
    let does = "\
above = folder
for _ in range(3):
    try:
        os.listdir(above)
        raise SystemExit('listed')
    except PermissionError:
        above = os.path.dirname(above)
name = os.path.basename(os.path.dirname(folder))
assert len(name) == 32, name";
    let Some((record, _)) = recorded(does, &[]) else { return };
    assert_eq!(record["problems"], serde_json::json!([]));
}

#[test]
fn a_folder_of_another_users_is_not_where_the_library_goes() {
    if !installed("openssl") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a folder to another user");
        return;
    }
    let place = TempDir::new().unwrap();
    let theirs = place.path().join("theirs");
    let temporary = theirs.join("temporary");
    fs::create_dir_all(&temporary).unwrap();
    for folder in [place.path(), &theirs, &temporary] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(&theirs, Some(65_534), None).unwrap();
    let with = |arguments: &[&str]| {
        let mut tlsheap = Command::new(env!("CARGO_BIN_EXE_tlsheap"));
        tlsheap.args(arguments).env("TMPDIR", &temporary).output().unwrap()
    };
    let doctor = with(&["doctor", "--json"]);
    let offers: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert!(!offers["library"].as_str().unwrap().starts_with(program::path(place.path())));
    let why = offers["tmpdir_refused"].as_str().unwrap();
    assert!(why.contains("theirs belongs to user 65534"), "{why}");
    assert!(text(&with(&["doctor"]).stdout).contains("TMPDIR            is not used"));

    let run = place.path().join("run");
    let program = ["sh", "-c", "echo $LD_PRELOAD; openssl version"];
    let output = with(&[&["record", "--out", program::path(&run), "--"], &program[..]].concat());
    let said = text(&output.stdout);
    assert!(output.status.success() && !said.contains("theirs"), "{said}");
}
