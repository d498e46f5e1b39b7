//! What a recording comes to: its capture, with every process in it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use analysis::category::Judged;
use analysis::objects::{Object, objects};
use analysis::ssl_object_share::SslObjectShare;
use capture::json::interval::of_any_bytes;
use capture::machine::Machine;
use capture::records::account::AccountRecord;
use capture::records::counts::CountsRecord;
use capture::records::memory::MemoryRecord;
use capture::records::recorder::RecorderRecord;
use capture::records::recording::{
    AttachedRecord, BaselineRecord, EarlierRecord, InheritedRecord, KIND, OpensslRecord,
    OtherTlsRecord, PerSslObject, ProcessRecord, Recording, SCHEMA, StepsRecord, VisitedRecord,
};
use capture::{Capture, Moments};
use ledger::{Coverage, Snapshot};
use profile::{Merged, Profile, Symbols, merge};

use crate::accounts::Accounts;
use crate::after_close::AfterClose;
use crate::attached::{AttachTo, Member, Visit, Visits};
use crate::heap::{Heap, others};
use crate::looks::Cost;
use crate::memory::{Memory, Seen};
use crate::moments::Moment;
use crate::observer::Observed;
use crate::processes::Processes;
use crate::profiles::totals;
use crate::running::Ended;
use crate::watch::Ledgers;
use crate::{
    Arguments, Options, PythonObjects, coverage, holding, perf_maps, profiles, without_connections,
};

/// The capture of a recording, from all that was seen. What went wrong moves over from `observed`
/// to the capture.
pub(crate) fn gather(
    options: &Options,
    ended: &Ended,
    observed: &mut Observed,
    at_end: &Processes,
    visits: Option<Visits>,
) -> Capture {
    let last: Ledgers = at_end
        .recorded()
        .map(|(path, snapshot, _)| (path.to_owned(), Arc::clone(snapshot)))
        .collect();
    let captured = observed.moments.captured.as_ref();
    let ledgers = captured.map_or(&last, |moment| &moment.ledgers);
    let symbols = &mut observed.symbols;
    let unnamed = perf_maps::add(symbols, at_end);

    let cost = observed.looks.cost();
    let connections = cost.as_ref().and_then(|cost| NonZeroU64::new(cost.connections()));
    let mut heap = Heap::of(&observed.moments, &observed.heap_looks, connections, at_end, symbols);
    if let (Some(heap), PythonObjects::OneByOne) = (&mut heap, options.python) {
        heap.record.python.get_or_insert_default();
    }
    let Gathered { mut whole, heap: whole_heap, mut records, profiles: processes } =
        processes(ledgers, heap.as_ref(), at_end, symbols);
    if visits.is_some() {
        // They are from before the attach, which is said.
        for record in &mut records {
            record.recorder.foreign_frees = 0;
        }
    }
    let baseline = observed.moments.baseline.as_ref();
    let earlier = baseline.map(|moment| &moment.ledgers);
    // At the end of a program nothing is open.
    let open = cost.as_ref().filter(|cost| captured.is_some() && cost.each.is_told());
    let closed = observed.moments.closed.as_ref();
    // What stays when connections are closed is what was not there before they came: there the
    // moment before them is to be kept, and it is a good one, for they came to a warm program.
    let without = open
        .filter(|_| closed.is_none() || earlier.is_none())
        .map(|cost| without_connections::ledgers(ledgers, cost, earlier));
    let mut before = without.as_ref().or(earlier).map(|ledgers| profiles::merged(ledgers, symbols));
    let timeline = observed.over_time.table(&last, symbols);
    let share = captured.and_then(|_| SslObjectShare::of(&whole, before.as_ref()));
    let per_connection = share.as_ref().map(PerSslObject::from).map(|share| match open {
        Some(cost) => share.by_steps(&cost.each),
        None => share,
    });
    let counted = live_ssl_objects(&whole);
    let after_close = closed.map(|closed| {
        let account = observed.memory.accounts().after_close();
        AfterClose::of(closed, baseline, account, symbols)
    });
    let account = account(observed.memory.accounts(), heap.as_ref(), symbols);
    let mut problems = coverage::problems(at_end);
    problems.extend(observed.lost.iter().map(|lost| lost.sentence().to_owned()));
    problems.extend(unnamed);
    problems.append(&mut observed.problems);
    let live = objects(&whole).unwrap_or_default();
    let record = Recording {
        schema: SCHEMA,
        kind: KIND.to_owned(),
        command: said_command(options),
        ended: ended.in_words(),
        attached: visits.map(|visits| attached(&visits, at_end)),
        exit_code: ended.status.and_then(|status| status.code()),
        captured: captured.map_or("at the program's end".to_owned(), Moment::in_words),
        captured_after_seconds: captured.map(|moment| moment.after.as_secs_f64()),
        connections: captured
            .filter(|_| options.sample.is_none())
            .map(|_| open.map_or(counted, Cost::connections)),
        per_connection,
        steps: cost.as_ref().map(|cost| StepsRecord::from(&cost.each)),
        baseline: baseline.map(|moment| BaselineRecord {
            after_seconds: moment.after.as_secs_f64(),
            openssl: totals(&moment.ledgers),
            others: others(&moment.heap),
        }),
        closed: after_close.as_ref().map(|after_close| after_close.record.clone()),
        memory: memory(&observed.memory),
        heap: heap.as_ref().map(|heap| heap.record.clone()),
        account,
        objects: live.into_iter().map(|(object, n)| (object.name().to_owned(), n)).collect(),
        series: observed.captures,
        tlsheap: options.made_by.version.clone(),
        commit: options.made_by.commit.clone(),
        machine: Machine::this(),
        started: ended.started.clone(),
        seconds: ended.lasted.as_secs_f64(),
        openssl: totals(ledgers),
        processes: records,
        problems,
        symbols: symbols.summary().into(),
    };
    // All that is said of OpenSSL has been calculated.
    if let Some(heap) = &whole_heap {
        merge(&mut whole, heap);
    }
    if let (Some(before), Some(heap)) = (&mut before, heap.and_then(|heap| heap.baseline)) {
        merge(before, &heap);
    }
    let (before_first, closed) = after_close.map(|it| (it.before, it.profile)).unzip();
    let moments =
        Moments { before: before_first.flatten(), closed, timeline: Some(timeline), processes };
    Capture::of_recording(&name_of(&options.command[0]), record, whole, before, moments)
}

fn account(
    accounts: &Accounts,
    heap: Option<&Heap>,
    symbols: &mut Symbols,
) -> Option<AccountRecord> {
    let growth = accounts.growth();
    let mut record = AccountRecord::new(accounts.at_capture()?, growth.as_ref());
    let Some(heap) = heap else { return Some(record) };
    if let Some(resident) = accounts.resident(&heap.ledgers) {
        record.holders = holding::resident(&resident, &Ledgers::new(), NonZeroU64::MIN, symbols);
    }
    if let Some(growth) = &mut record.growth
        && let Some(([before, after], connections)) = accounts.resident_growth(&heap.ledgers)
    {
        growth.holders = holding::resident(&after, &before, connections, symbols);
    }
    Some(record)
}

fn attached(visits: &Visits, at_end: &Processes) -> AttachedRecord {
    let seconds = |visit: Visit| (visit.stopped.as_secs_f64(), visit.processor.as_secs_f64());
    let visited = |member: &Member| {
        let (stopped_seconds, processor_seconds) = seconds(member.begin);
        let (let_go_stopped_seconds, let_go_processor_seconds) = member.end.map(seconds).unzip();
        VisitedRecord {
            pid: member.process.pid,
            after_seconds: member.after.as_secs_f64(),
            stopped_seconds,
            processor_seconds,
            let_go_stopped_seconds,
            let_go_processor_seconds,
            earlier: member.earlier.map(|earlier| EarlierRecord {
                ssl_objects: earlier.in_use,
                perhaps_ssl_objects: earlier.perhaps,
                complete: earlier.is_complete,
                scanned_bytes: earlier.scanned_bytes,
                seconds: earlier.lasted.as_secs_f64(),
            }),
        }
    };
    let earlier = at_end.recorded().map(|(_, end, _)| end.statistics.foreign_frees);
    AttachedRecord {
        pid: visits.to.named(),
        cgroup: match &visits.to {
            AttachTo::Cgroup(folder) => Some(folder.display().to_string()),
            AttachTo::Process(_) | AttachTo::Tree(_) => None,
        },
        processes: visits.members.iter().map(visited).collect(),
        earlier_blocks: earlier.sum(),
    }
}

fn memory(memory: &Memory) -> Option<MemoryRecord> {
    let Seen { footprint, openssl_bytes } = memory.at_capture()?;
    Some(MemoryRecord::new(footprint, openssl_bytes, memory.most()?, memory.growth()))
}

/// SSL objects that are live.
pub(crate) fn live_ssl_objects(profile: &Profile) -> u64 {
    let live = objects(profile).and_then(|live| live.get(&Object::Ssl).copied());
    live.and_then(|live| u64::try_from(live).ok()).unwrap_or_default()
}

/// The program, and its arguments unless they are to be left out.
fn said_command(options: &Options) -> Vec<String> {
    let words = match options.arguments {
        Arguments::Kept => &options.command[..],
        Arguments::LeftOut => &options.command[..1],
    };
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The program's name without its folder, fit for names of folders.
pub fn name_of(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
}

/// The processes of a recording, each for itself and all together.
struct Gathered {
    /// OpenSSL's.
    whole: Profile,
    /// Everybody else's, where that is recorded.
    heap: Option<Profile>,
    records: Vec<ProcessRecord>,
    /// Under the names of their files.
    profiles: Vec<(String, Profile)>,
}

fn processes(
    ledgers: &Ledgers,
    heap: Option<&Heap>,
    at_end: &Processes,
    symbols: &mut Symbols,
) -> Gathered {
    let (mut records, mut profiles) = (Vec::new(), Vec::new());
    let (mut whole, mut judged) = (Merged::new(Profile::of_heap()), Judged::default());
    let (mut names, mut with_heap) = (Names::default(), None);
    let ends: HashMap<&Path, (&Snapshot, &Coverage)> =
        at_end.recorded().map(|(path, end, coverage)| (path, (&**end, coverage))).collect();
    for (path, snapshot) in profiles::in_order(ledgers) {
        // A ledger that could be read before can be read at the end; if not, that is a problem
        // that has been said, and the process has no name.
        let end = ends.get(path);
        let (end, coverage) = match end {
            Some((end, coverage)) => (*end, (*coverage).clone()),
            None => (snapshot, Coverage::default()),
        };
        let mut profile = profiles::of_process(snapshot, &coverage, symbols, &mut judged);
        let name = names.of_process(snapshot.pid);
        whole.add(&profile);
        if let Some(heap) = heap.and_then(|heap| heap.of_process(path)) {
            let heap = profiles::of_process(heap, &coverage, symbols, &mut judged);
            with_heap.get_or_insert_with(|| Merged::new(Profile::of_heap())).add(&heap);
            merge(&mut profile, &heap);
        }
        records.push(process_record(name.clone(), snapshot, &coverage, end));
        profiles.push((name, profile));
    }
    let heap = with_heap.map(Merged::finish);
    Gathered { whole: whole.finish(), heap, records, profiles }
}

/// A name for each process's profile: a process that calls exec keeps its id.
#[derive(Default)]
struct Names(Vec<u32>);

impl Names {
    fn of_process(&mut self, pid: u32) -> String {
        self.0.push(pid);
        match self.0.iter().filter(|other| **other == pid).count() {
            1 => format!("process-{pid}.pb.gz"),
            again => format!("process-{pid}.{again}.pb.gz"),
        }
    }
}

/// Of the statistics, those at the end: what is lost after the capture is lost all the same.
fn process_record(
    profile: String,
    snapshot: &Snapshot,
    coverage: &Coverage,
    end: &Snapshot,
) -> ProcessRecord {
    let inherited = &end.statistics.inherited;
    ProcessRecord {
        pid: snapshot.pid,
        program: coverage.program.clone(),
        forked_from: coverage.forked_from,
        profile,
        openssl: CountsRecord::of(std::iter::once(snapshot)),
        openssl_at_end: CountsRecord::of(std::iter::once(end)),
        inherited: InheritedRecord {
            blocks: inherited.blocks,
            bytes: inherited.bytes,
            freed_blocks: inherited.freed_blocks,
            freed_bytes: inherited.freed_bytes,
            bytes_interval95: of_any_bytes(inherited.bytes, end.sampling),
            freed_bytes_interval95: of_any_bytes(inherited.freed_bytes, end.sampling),
        },
        openssls: coverage.openssls.iter().map(OpensslRecord::from).collect(),
        other_tls: coverage.others.iter().map(OtherTlsRecord::from).collect(),
        recorder: RecorderRecord::new(&end.statistics, end.sampling),
        broken_stacks: end.statistics.broken_stacks,
    }
}
