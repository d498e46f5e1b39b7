//! The frames of a stopped thread, from the innermost one out, by the unwind tables of the objects
//! that they lie in: whether one of them is a signal handler's.
//!
//! On a stack lies also what calls have left there that have long returned; a frame is one that is
//! still to be returned to. Where the tables do not say how a frame is left, nothing is known.

use std::collections::HashMap;

use finder::Elf;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, EvaluationResult, LittleEndian,
    Location, Pointer, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
    Value, X86_64,
};

use crate::areas::Areas;
use crate::memory::Memory;
use crate::target::Target;
use crate::tracee::Registers;

/// What a signal handler returns to: system call 15, which ends a handler.
pub(crate) const RESTORER: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];

/// No stack is deeper that is gone through.
const MOST: usize = 10_000;

/// Tables of one object that are read at most.
const MOST_BYTES: usize = 64 << 20;

/// Bytes of a program header, and the most of them that an object has.
const SEGMENT_BYTES: u64 = 56;
const MOST_SEGMENTS: u64 = 256;

/// Functions of the C library that wait, and that neither an allocator nor the loader calls: what a
/// handler has interrupted in one of them is none of theirs.
const WAITING: [&str; 12] = [
    "select",
    "pselect",
    "poll",
    "ppoll",
    "epoll_wait",
    "epoll_pwait",
    "accept",
    "accept4",
    "recv",
    "recvfrom",
    "recvmsg",
    "sigsuspend",
];

/// Frames of a process's threads.
pub(crate) struct Frames<'a> {
    target: &'a Target,
    /// Where functions begin in which a handler may be.
    waiting: Vec<u64>,
    /// By where their objects begin, and their files.
    tables: HashMap<(u64, String), Option<Tables>>,
}

impl Frames<'_> {
    pub(crate) fn of(target: &Target) -> Frames<'_> {
        let (file, base) = &target.libc;
        let found = |name: &str| {
            let [at] = finder::functions(&Elf::parse(file).ok()?, [name]);
            Some(base + at?)
        };
        let waiting = WAITING.into_iter().filter_map(found).collect();
        Frames { target, waiting, tables: HashMap::new() }
    }

    /// Whether the way out leads to the thread's first frame, and through none of a signal handler
    /// that may have interrupted an allocator or the loader.
    pub(crate) fn lead_home(&mut self, areas: &Areas, registers: &Registers) -> bool {
        let memory = &self.target.memory;
        let (mut frame, mut is_interrupted) = (Frame::innermost(registers), false);
        for depth in 0..MOST {
            // Behind a call, which may be the last instruction of its function.
            let is_called = depth > 0 && !is_interrupted;
            let instruction = frame.address.wrapping_sub(u64::from(is_called));
            let Some((base, path)) = object(areas, instruction) else { return false };
            let tables = self.tables.entry((base, path.to_owned()));
            let tables = tables.or_insert_with(|| Tables::of(memory, areas, base));
            let step = tables.as_ref().and_then(|it| it.outwards(&frame, instruction, memory));
            let Some((function, step)) = step else { return false };
            if is_interrupted && !self.waiting.contains(&function) {
                return false;
            }
            let Some(mut next) = step.filter(|next| next.address != 0) else { return true };
            is_interrupted = memory.read_some(next.address, RESTORER.len()) == RESTORER;
            if is_interrupted {
                let Some(interrupted) = next.interrupted(memory) else { return false };
                next = interrupted;
            }
            if next.stack() <= frame.stack() {
                return false;
            }
            frame = next;
        }
        false
    }
}

/// Where the object begins in which an address lies, and its file.
fn object(areas: &Areas, address: u64) -> Option<(u64, &str)> {
    let area = areas.at(address).filter(|area| area.executable && !area.path.is_empty())?;
    let mut before = areas.0.iter().filter(|it| it.path == area.path && it.start <= area.start);
    before.rfind(|it| it.offset == 0).map(|first| (first.start, first.path.as_str()))
}

/// What is known of a frame: the address at which it goes on, and registers by their numbers in
/// tables.
#[derive(Clone, Copy)]
struct Frame {
    address: u64,
    registers: [Option<u64>; REGISTERS],
}

const REGISTERS: usize = 16;

impl Frame {
    fn innermost(from: &Registers) -> Frame {
        let mut registers = [None; REGISTERS];
        for (register, value) in [
            (X86_64::RBX, from.rbx),
            (X86_64::RBP, from.rbp),
            (X86_64::RSP, from.rsp),
            (X86_64::R12, from.r12),
            (X86_64::R13, from.r13),
            (X86_64::R14, from.r14),
            (X86_64::R15, from.r15),
            // Functions that align their stack keep in it where that was.
            (X86_64::R10, from.r10),
        ] {
            registers[usize::from(register.0)] = Some(value);
        }
        Frame { address: from.rip, registers }
    }

    /// What a signal has interrupted whose handler returns here: the kernel has put its registers on
    /// the stack.
    fn interrupted(&self, memory: &Memory) -> Option<Frame> {
        const PLACES: [(Register, u64); 8] = [
            (X86_64::R10, 56),
            (X86_64::R12, 72),
            (X86_64::R13, 80),
            (X86_64::R14, 88),
            (X86_64::R15, 96),
            (X86_64::RBP, 120),
            (X86_64::RBX, 128),
            (X86_64::RSP, 160),
        ];
        const ADDRESS: u64 = 168;
        let word = |at: u64| memory.word(self.stack().wrapping_add(at)).ok();
        let mut registers = [None; REGISTERS];
        for (register, at) in PLACES {
            registers[usize::from(register.0)] = word(at);
        }
        Some(Frame { address: word(ADDRESS)?, registers })
    }

    fn get(&self, register: Register) -> Option<u64> {
        self.registers.get(usize::from(register.0)).copied().flatten()
    }

    fn stack(&self) -> u64 {
        self.get(X86_64::RSP).unwrap_or(0)
    }
}

/// The unwind tables of an object, with their addresses.
struct Tables {
    /// The table of functions, by their addresses.
    header: (u64, Vec<u8>),
    frames: (u64, Vec<u8>),
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

fn bytes(of: &[u8]) -> Bytes<'_> {
    EndianSlice::new(of, LittleEndian)
}

impl Tables {
    /// Those of the object at `base`, from memory: what is mapped is what is executed.
    fn of(memory: &Memory, areas: &Areas, base: u64) -> Option<Tables> {
        const GNU_EH_FRAME: u32 = 0x6474_e550;
        const LOAD: u32 = 1;
        let start = memory.read(base, 64).ok().filter(|it| it.starts_with(b"\x7fELF"))?;
        let half = |at: usize| u64::from(u16::from_le_bytes(start[at..at + 2].try_into().unwrap()));
        let word = |of: &[u8], at: usize| u64::from_le_bytes(of[at..at + 8].try_into().unwrap());
        // The process may have written there what it likes: its numbers ask for no memory of ours.
        let (each, count) = (half(54), half(56));
        if each != SEGMENT_BYTES || count > MOST_SEGMENTS {
            return None;
        }
        let at = base.checked_add(word(&start, 32))?;
        let segments = memory.read(at, (each * count) as usize).ok()?;
        let of_kind = |kind: u32| {
            let mut all = segments.chunks_exact(each as usize);
            all.find(|it| it[..4] == kind.to_le_bytes())
        };
        let bias = base.wrapping_sub(word(of_kind(LOAD)?, 16));
        let header = of_kind(GNU_EH_FRAME)?;
        let (at, length) = (bias.wrapping_add(word(header, 16)), word(header, 40) as usize);
        let header = memory.read(at, length.min(MOST_BYTES)).ok()?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(at);
        let parsed = EhFrameHdr::from(bytes(&header)).parse(&bases, 8).ok()?;
        let Pointer::Direct(frames) = parsed.eh_frame_ptr() else { return None };
        // Their length is said nowhere: they lie in one area, and end with a mark.
        let room = (areas.at(frames)?.end - frames) as usize;
        let read = memory.read_some(frames, room.min(MOST_BYTES));
        Some(Tables { header: (at, header), frames: (frames, read) })
    }

    /// Where the function begins whose frame this is, and the frame that it returns to; `None` there
    /// where it was called by nobody.
    fn outwards(
        &self,
        frame: &Frame,
        instruction: u64,
        memory: &Memory,
    ) -> Option<(u64, Option<Frame>)> {
        let bases =
            BaseAddresses::default().set_eh_frame_hdr(self.header.0).set_eh_frame(self.frames.0);
        let header = EhFrameHdr::from(bytes(&self.header.1)).parse(&bases, 8).ok()?;
        let frames = EhFrame::from(bytes(&self.frames.1));
        let table = header.table()?;
        let function =
            table.fde_for_address(&frames, &bases, instruction, EhFrame::cie_from_offset).ok()?;
        if function.is_signal_trampoline() {
            return None;
        }
        let mut context = UnwindContext::new();
        let row =
            function.unwind_info_for_address(&frames, &bases, &mut context, instruction).ok()?;
        let evaluate = |expression: &UnwindExpression<usize>, first| {
            let expression = expression.get(&frames).ok()?;
            evaluated(expression.evaluation(function.cie().encoding()), first, frame, memory)
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                frame.get(*register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => evaluate(expression, None)?,
        };
        let value = |register: Register| match row.register(register) {
            None | Some(RegisterRule::SameValue) => Some(frame.get(register)),
            Some(RegisterRule::Undefined) => Some(None),
            Some(RegisterRule::Offset(offset)) => {
                Some(memory.word(cfa.wrapping_add_signed(offset)).ok())
            }
            Some(RegisterRule::ValOffset(offset)) => Some(Some(cfa.wrapping_add_signed(offset))),
            Some(RegisterRule::Register(other)) => Some(frame.get(other)),
            Some(RegisterRule::Expression(place)) => {
                Some(evaluate(&place, Some(cfa)).and_then(|place| memory.word(place).ok()))
            }
            Some(RegisterRule::ValExpression(expression)) => Some(evaluate(&expression, Some(cfa))),
            Some(_) => None,
        };
        if matches!(row.register(X86_64::RA), Some(RegisterRule::Undefined)) {
            return Some((function.initial_address(), None));
        }
        let mut registers = [None; REGISTERS];
        for (number, register) in (0..).zip(&mut registers) {
            *register = value(Register(number))?;
        }
        registers[usize::from(X86_64::RSP.0)] = Some(cfa);
        let address = match row.register(X86_64::RA) {
            // It would be in no register.
            None | Some(RegisterRule::SameValue) => return None,
            Some(_) => value(X86_64::RA)??,
        };
        Some((function.initial_address(), Some(Frame { address, registers })))
    }
}

/// What an expression of the tables comes to.
fn evaluated(
    mut evaluation: gimli::Evaluation<Bytes>,
    first: Option<u64>,
    frame: &Frame,
    memory: &Memory,
) -> Option<u64> {
    evaluation.set_max_iterations(1000);
    if let Some(first) = first {
        evaluation.set_initial_value(first);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = match register {
                    X86_64::RA => frame.address,
                    _ => frame.get(register)?,
                };
                evaluation.resume_with_register(Value::Generic(value)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size: 8, space: None, .. } => {
                let word = memory.word(address).ok()?;
                evaluation.resume_with_memory(Value::Generic(word)).ok()?
            }
            _ => return None,
        };
    }
    match &evaluation.result()[..] {
        [piece] => match piece.location {
            Location::Address { address } => Some(address),
            _ => None,
        },
        _ => None,
    }
}
