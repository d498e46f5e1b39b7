//! The profile in memory: samples over stacks, with one value per sample type.
//!
//! The shape is that of pprof's protobuf, our native format, with handles instead of ids: a
//! [`Sample`] names its frames through [`LocationId`]s of the same [`Profile`].

use std::borrow::Cow;
use std::sync::Arc;

use ledger::Sampling;

use crate::tables::Tables;

/// What one value column counts, in pprof's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Blocks live at the capture.
    InuseObjects,
    /// Requested bytes live at the capture.
    InuseSpace,
    /// Blocks ever allocated.
    AllocObjects,
    /// Bytes ever allocated.
    AllocSpace,
    /// Blocks live at the moment of the process's highest total.
    PeakObjects,
    /// Bytes live at the moment of the process's highest total.
    PeakSpace,
}

impl Metric {
    /// Every metric, in the order in which our own profiles store them.
    pub const ALL: [Metric; 6] = [
        Metric::InuseObjects,
        Metric::InuseSpace,
        Metric::AllocObjects,
        Metric::AllocSpace,
        Metric::PeakObjects,
        Metric::PeakSpace,
    ];

    /// pprof's sample type name, e.g. `inuse_space`.
    pub fn kind(self) -> &'static str {
        match self {
            Metric::InuseObjects => "inuse_objects",
            Metric::InuseSpace => "inuse_space",
            Metric::AllocObjects => "alloc_objects",
            Metric::AllocSpace => "alloc_space",
            Metric::PeakObjects => "peak_objects",
            Metric::PeakSpace => "peak_space",
        }
    }

    /// pprof's unit: `count` or `bytes`.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::InuseObjects | Metric::AllocObjects | Metric::PeakObjects => "count",
            Metric::InuseSpace | Metric::AllocSpace | Metric::PeakSpace => "bytes",
        }
    }
}

/// The type and unit of one value column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// What is counted, e.g. `inuse_space`.
    pub kind: String,
    /// In what unit, e.g. `bytes`.
    pub unit: String,
}

/// A handle of a [`Mapping`], valid in the profile that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MappingId(pub(crate) u32);

/// A handle of a [`Function`], valid in the profile that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub(crate) u32);

impl FunctionId {
    /// The function's place in [`Profile::functions`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A handle of a [`Location`], valid in the profile that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub(crate) u32);

impl LocationId {
    /// The location's place in [`Profile::locations`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file mapped into the profiled process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// First address of the mapping.
    pub start: u64,
    /// Address after its last byte.
    pub end: u64,
    /// Offset in the file of its first byte.
    pub file_offset: u64,
    /// The file: its path in other programs' profiles, its name alone in ours.
    pub file: String,
    /// GNU build id in lower-case hexadecimal; empty when the file has none.
    pub build_id: String,
}

/// A function of the profiled program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Function {
    /// The readable (demangled) name.
    pub name: String,
    /// The name in the symbol table; equal to `name` where nothing was demangled.
    pub system_name: String,
    /// Source file; empty when unknown.
    pub file: String,
}

/// One source line of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function the line belongs to.
    pub function: FunctionId,
    /// Line number from 1; 0 when unknown.
    pub line: u32,
}

/// One address on a stack, with the functions inlined there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// The mapping the address lies in.
    pub mapping: Option<MappingId>,
    /// Address in the profiled process; 0 when the format has none.
    pub address: u64,
    /// Innermost (most deeply inlined) function first; empty when nothing is known.
    pub lines: Vec<Line>,
}

/// A label's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LabelValue {
    /// A word, which thousands of samples have in common.
    Text(Arc<str>),
    /// A number with its unit, which may be empty.
    Number(i64, String),
}

/// The label with the size of each block, as Go's heap profiles have it, and its unit.
const BLOCK_BYTES: &str = "bytes";
const BYTES: &str = "bytes";

/// One stack with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The stack, innermost frame first.
    pub stack: Vec<LocationId>,
    /// One value per sample type of the profile.
    pub values: Vec<i64>,
    /// Labels such as `domain` and `category`, in order of their keys.
    pub labels: Vec<(Cow<'static, str>, LabelValue)>,
}

impl Sample {
    /// The text of the label `key`.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find_map(|(k, v)| match v {
            LabelValue::Text(text) if k == key => Some(&**text),
            _ => None,
        })
    }

    /// Sets the text label `key`, replacing what it held.
    pub fn set_label(&mut self, key: &'static str, text: impl Into<Arc<str>>) {
        self.put_label(key, LabelValue::Text(text.into()));
    }

    fn put_label(&mut self, key: &'static str, value: LabelValue) {
        let at = self.labels.partition_point(|(k, _)| &**k < key);
        let end = self.labels[at..].iter().take_while(|(k, _)| k == key).count() + at;
        self.labels.splice(at..end, [(Cow::Borrowed(key), value)]);
    }

    /// The size of each block, in a sample whose values are estimates: see [`Profile::sampling`].
    pub fn block_bytes(&self) -> Option<u64> {
        self.labels.iter().find_map(|(key, value)| match value {
            LabelValue::Number(bytes, unit) if key == BLOCK_BYTES && unit == BYTES => {
                u64::try_from(*bytes).ok()
            }
            _ => None,
        })
    }

    /// Sets [`Sample::block_bytes`].
    pub fn set_block_bytes(&mut self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.put_label(BLOCK_BYTES, LabelValue::Number(bytes, BYTES.to_owned()));
    }
}

/// One frame as a reader of a stack sees it: inlined functions are frames of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// The readable function name, or empty when unknown.
    pub function: &'a str,
    /// The source file, or empty when unknown.
    pub file: &'a str,
    /// The source line, or 0 when unknown.
    pub line: u32,
    /// The address of the location the frame belongs to.
    pub address: u64,
}

/// A profile: samples, and the tables that their stacks refer to.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    sample_types: Vec<ValueType>,
    default_sample_type: Option<usize>,
    pub(crate) tables: Tables,
    samples: Vec<Sample>,
    /// How blocks were chosen to be counted: the values of samples that know the size of their
    /// blocks are estimates then. `None` where nothing was chosen by the recorder.
    pub sampling: Option<Sampling>,
    /// Free text that travels with the profile.
    pub comments: Vec<String>,
    /// When the profile was taken, in nanoseconds since 1970; 0 when unknown.
    pub time_nanos: i64,
    /// How long it covers, in nanoseconds; 0 when unknown.
    pub duration_nanos: i64,
}

impl Profile {
    /// An empty profile with the given value columns.
    pub fn new(sample_types: Vec<ValueType>, default_sample_type: Option<usize>) -> Profile {
        debug_assert!(default_sample_type.is_none_or(|at| at < sample_types.len()));
        Profile { sample_types, default_sample_type, ..Profile::default() }
    }

    /// An empty profile with all of our own columns, `inuse_space` first among equals.
    pub fn of_heap() -> Profile {
        let types = Metric::ALL
            .map(|m| ValueType { kind: m.kind().to_owned(), unit: m.unit().to_owned() })
            .to_vec();
        let default = Metric::ALL.iter().position(|m| *m == Metric::InuseSpace);
        Profile::new(types, default)
    }

    /// The value columns.
    pub fn sample_types(&self) -> &[ValueType] {
        &self.sample_types
    }

    /// The column a viewer should show first.
    pub fn default_sample_type(&self) -> Option<usize> {
        self.default_sample_type
    }

    /// Says which column a viewer should show first.
    ///
    /// # Panics
    ///
    /// When there is no such column.
    pub fn set_default_sample_type(&mut self, at: usize) {
        assert!(at < self.sample_types.len(), "one of the columns");
        self.default_sample_type = Some(at);
    }

    /// The column that holds `metric`, if the profile has it.
    pub fn column(&self, metric: Metric) -> Option<usize> {
        self.sample_types.iter().position(|t| t.kind == metric.kind())
    }

    /// The samples, in the order in which they were added.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The samples, to relabel or to reorder them.
    pub fn samples_mut(&mut self) -> &mut Vec<Sample> {
        &mut self.samples
    }

    /// Adds a sample.
    ///
    /// # Panics
    ///
    /// When it does not have one value per sample type.
    pub fn push(&mut self, sample: Sample) {
        assert_eq!(sample.values.len(), self.sample_types.len(), "one value per sample type");
        self.samples.push(sample);
    }

    /// The sum of column `column` over all samples. It stays at the ends of its range; the readers
    /// refuse files in which that would matter.
    pub fn total(&self, column: usize) -> i64 {
        self.samples.iter().fold(0, |sum: i64, sample| sum.saturating_add(sample.values[column]))
    }

    /// Profiles with the same number have the same handles: what is known of one's stack holds for
    /// the same stack of the other. `None` where nothing is known of others.
    pub fn kin(&self) -> Option<u64> {
        self.tables.kin()
    }

    /// Interns a mapping.
    pub fn mapping(&mut self, mapping: Mapping) -> MappingId {
        self.tables.add_mapping(mapping)
    }

    /// Interns a function.
    pub fn function(&mut self, function: Function) -> FunctionId {
        self.tables.add_function(function)
    }

    /// Interns a location.
    pub fn location(&mut self, location: Location) -> LocationId {
        self.tables.add_location(location)
    }

    /// The mapping behind a handle.
    pub fn mapping_of(&self, id: MappingId) -> &Mapping {
        &self.tables.mappings()[id.0 as usize]
    }

    /// The function behind a handle.
    pub fn function_of(&self, id: FunctionId) -> &Function {
        &self.tables.functions()[id.0 as usize]
    }

    /// The location behind a handle.
    pub fn location_of(&self, id: LocationId) -> &Location {
        &self.tables.locations()[id.0 as usize]
    }

    /// All mappings, in the order of their handles.
    pub fn mappings(&self) -> impl ExactSizeIterator<Item = &Mapping> {
        self.tables.mappings().iter()
    }

    /// All functions, in the order of their handles.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = &Function> {
        self.tables.functions().iter()
    }

    /// All locations, in the order of their handles.
    pub fn locations(&self) -> impl ExactSizeIterator<Item = &Location> {
        self.tables.locations().iter()
    }

    /// The frames of a sample, innermost first, inlined functions as frames of their own. A
    /// location without a name is one frame with an empty function.
    pub fn frames<'a>(&'a self, sample: &'a Sample) -> impl Iterator<Item = Frame<'a>> + 'a {
        sample.stack.iter().flat_map(move |id| self.frames_of(*id))
    }

    /// The frames of one location, innermost first, inlined functions as frames of their own.
    pub fn frames_of(&self, id: LocationId) -> impl Iterator<Item = Frame<'_>> {
        let location = self.location_of(id);
        let unnamed = location.lines.is_empty().then_some(Frame {
            function: "",
            file: "",
            line: 0,
            address: location.address,
        });
        let named = location.lines.iter().map(move |line| {
            let function = self.function_of(line.function);
            Frame {
                function: &function.name,
                file: &function.file,
                line: line.line,
                address: location.address,
            }
        });
        unnamed.into_iter().chain(named)
    }
}
