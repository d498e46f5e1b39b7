//! Writing a profile.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use foldhash::HashMap;
use prost::Message;

use super::proto;
use crate::{
    Function, FunctionId, LabelValue, Line, Location, LocationId, MappingId, Metric, Profile,
    Sample,
};

/// Half the time of the usual level, for files that are a fiftieth larger: a recording of a test
/// suite has thousands of them.
const FAST: Compression = Compression::new(4);

/// The profile as a gzip file. The same profile always gives the same bytes.
pub fn write(profile: &Profile) -> Vec<u8> {
    let message = Tables::new(profile).message().encode_to_vec();
    // No time and no file name go into the header.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), FAST);
    gzip.write_all(&message).expect("a vector takes all that is written to it");
    gzip.finish().expect("a vector takes all that is written to it")
}

/// What the samples use, numbered in order of first use, and the program before all mappings. The ids given out are kept by handle; 0
/// stands for "none yet".
struct Tables<'a> {
    profile: &'a Profile,
    strings: Vec<&'a str>,
    string_indices: HashMap<&'a str, i64>,
    mappings: Vec<proto::Mapping>,
    mapping_ids: Vec<u64>,
    resolved: Vec<Resolved>,
    functions: Vec<proto::Function>,
    function_ids: Vec<u64>,
    locations: Vec<proto::Location>,
    location_ids: Vec<u64>,
}

/// What is known of every place in a mapping that samples have on their stacks: who can look
/// symbols up, as a server with debuginfod does, does so for the rest.
#[derive(Clone, Copy)]
struct Resolved {
    functions: bool,
    files: bool,
    lines: bool,
}

impl Resolved {
    const EVERYTHING: Resolved = Resolved { functions: true, files: true, lines: true };
    const NOTHING: Resolved = Resolved { functions: false, files: false, lines: false };

    fn of(profile: &Profile, location: &Location) -> Resolved {
        let all = |is: fn(&Function, &Line) -> bool| {
            let mut lines = location.lines.iter();
            lines.len() > 0 && lines.all(|line| is(profile.function_of(line.function), line))
        };
        Resolved {
            functions: all(|function, _| has_name(function)),
            files: all(|function, _| !function.file.is_empty()),
            lines: all(|_, line| line.line != 0),
        }
    }
}

/// Not a place in its file that stands for a name.
fn has_name(function: &Function) -> bool {
    !function.name.is_empty() && !function.name.contains("+0x")
}

/// What is resolved of each mapping; nothing of those that no sample has on its stack.
fn resolved(profile: &Profile) -> Vec<Resolved> {
    let mut of_mappings: Vec<Option<Resolved>> = vec![None; profile.mappings().len()];
    let mut is_seen = vec![false; profile.locations().len()];
    for id in profile.samples().iter().flat_map(|sample| &sample.stack) {
        if std::mem::replace(&mut is_seen[id.index()], true) {
            continue;
        }
        let location = profile.location_of(*id);
        let Some(mapping) = location.mapping else { continue };
        let of = Resolved::of(profile, location);
        let all = of_mappings[mapping.0 as usize].get_or_insert(Resolved::EVERYTHING);
        all.functions &= of.functions;
        all.files &= of.files;
        all.lines &= of.lines;
    }
    of_mappings.into_iter().map(|all| all.unwrap_or(Resolved::NOTHING)).collect()
}

impl<'a> Tables<'a> {
    fn new(profile: &'a Profile) -> Tables<'a> {
        Tables {
            profile,
            strings: vec![""],
            string_indices: HashMap::from_iter([("", 0)]),
            mappings: Vec::new(),
            mapping_ids: vec![0; profile.mappings().len()],
            resolved: resolved(profile),
            functions: Vec::new(),
            function_ids: vec![0; profile.functions().len()],
            locations: Vec::new(),
            location_ids: vec![0; profile.locations().len()],
        }
    }

    fn message(mut self) -> proto::Profile {
        let profile = self.profile;
        let sample_type = profile
            .sample_types()
            .iter()
            .map(|t| proto::ValueType { kind: self.string(&t.kind), unit: self.string(&t.unit) })
            .collect();
        let default_sample_type = profile
            .default_sample_type()
            .map_or(0, |at| self.string(&profile.sample_types()[at].kind));
        // Readers take the first mapping for the program, whether anything lies in it or not.
        if profile.mappings().len() > 0 {
            self.mapping(MappingId(0));
        }
        let sample = profile.samples().iter().map(|sample| self.sample(sample)).collect();
        // What is exact, or was scaled up elsewhere, is said so: one byte for each. Of what is
        // sampled, readers need the interval to know how far the estimates may be off.
        let is_heap = profile.column(Metric::InuseSpace).is_some();
        let period_type = is_heap
            .then(|| proto::ValueType { kind: self.string("space"), unit: self.string("bytes") });
        let comment = profile.comments.iter().map(|comment| self.string(comment)).collect();
        proto::Profile {
            sample_type,
            sample,
            mapping: self.mappings,
            location: self.locations,
            function: self.functions,
            string_table: self.strings.into_iter().map(str::to_owned).collect(),
            time_nanos: profile.time_nanos,
            duration_nanos: profile.duration_nanos,
            period_type,
            period: match profile.sampling {
                Some(sampling) if is_heap => sampling.interval() as i64,
                _ => i64::from(is_heap),
            },
            comment,
            default_sample_type,
        }
    }

    fn sample(&mut self, sample: &'a Sample) -> proto::Sample {
        let labels = sample.labels.iter().filter(|(key, _)| !key.is_empty());
        proto::Sample {
            location_id: sample.stack.iter().map(|id| self.location(*id)).collect(),
            value: sample.values.clone(),
            label: labels.filter_map(|(key, value)| self.label(key, value)).collect(),
        }
    }

    fn label(&mut self, key: &'a str, value: &'a LabelValue) -> Option<proto::Label> {
        let label = match value {
            LabelValue::Text(text) if text.is_empty() => return None,
            LabelValue::Text(text) => {
                proto::Label { text: self.string(text), ..proto::Label::default() }
            }
            LabelValue::Number(number, unit) => proto::Label {
                number: *number,
                number_unit: self.string(unit),
                ..proto::Label::default()
            },
        };
        Some(proto::Label { key: self.string(key), ..label })
    }

    fn location(&mut self, id: LocationId) -> u64 {
        let known = self.location_ids[id.0 as usize];
        if known != 0 {
            return known;
        }
        let location = self.profile.location_of(id);
        let mapping_id = location.mapping.map_or(0, |mapping| self.mapping(mapping));
        let line = location
            .lines
            .iter()
            .map(|line| proto::Line {
                function_id: self.function(line.function),
                line: i64::from(line.line),
            })
            .collect();
        let new = self.locations.len() as u64 + 1;
        self.locations.push(proto::Location {
            id: new,
            mapping_id,
            address: location.address,
            line,
        });
        self.location_ids[id.0 as usize] = new;
        new
    }

    fn mapping(&mut self, id: MappingId) -> u64 {
        let known = self.mapping_ids[id.0 as usize];
        if known != 0 {
            return known;
        }
        let mapping = self.profile.mapping_of(id);
        let resolved = self.resolved[id.0 as usize];
        let new = self.mappings.len() as u64 + 1;
        let filename = self.string(&mapping.file);
        let build_id = self.string(&mapping.build_id);
        self.mappings.push(proto::Mapping {
            id: new,
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.file_offset,
            filename,
            build_id,
            has_functions: resolved.functions,
            has_filenames: resolved.files,
            has_line_numbers: resolved.lines,
            // They are in the same tables as files and lines.
            has_inline_frames: resolved.files && resolved.lines,
        });
        self.mapping_ids[id.0 as usize] = new;
        new
    }

    fn function(&mut self, id: FunctionId) -> u64 {
        let known = self.function_ids[id.0 as usize];
        if known != 0 {
            return known;
        }
        let function = self.profile.function_of(id);
        let new = self.functions.len() as u64 + 1;
        let name = self.string(&function.name);
        let system_name = self.string(&function.system_name);
        let filename = self.string(&function.file);
        self.functions.push(proto::Function { id: new, name, system_name, filename });
        self.function_ids[id.0 as usize] = new;
        new
    }

    fn string(&mut self, text: &'a str) -> i64 {
        if let Some(known) = self.string_indices.get(text) {
            return *known;
        }
        let index = self.strings.len() as i64;
        self.strings.push(text);
        self.string_indices.insert(text, index);
        index
    }
}
