//! Reading a profile, with everything checked.
//!
//! The tables are read first, in one pass over the outermost message; in a second one each sample is
//! decoded, checked against them and added, so that no second copy of the samples is ever held.

use std::borrow::Cow;

use ledger::Sampling;

use super::fields::{Field, FieldContent, Fields};
use super::ids::Ids;
use super::proto::{self, field};
use super::source::Source;
use super::unpack::unpack;
use crate::column_sums::{ColumnSums, SUMS_IN_RANGE};
use crate::error::quote;
use crate::{
    Function, FunctionId, LabelValue, Line, Location, LocationId, Mapping, MappingId, Metric,
    Position, Profile, ReadError, Sample, ValueType,
};

/// What should be in a file that is empty.
const EXPECTED: &str = "a pprof profile (protobuf, usually gzip)";

/// Reads a profile, gzip or plain. `name` is what errors call the file.
pub fn read(bytes: &[u8], name: &str) -> Result<Profile, ReadError> {
    match unpack(bytes, name)? {
        Cow::Borrowed(message) => read_message(message, Source { name, position: Position::Byte }),
        Cow::Owned(message) => read_unpacked(&message, name),
    }
}

/// Reads a profile that came out of a compressed file.
pub(crate) fn read_unpacked(message: &[u8], name: &str) -> Result<Profile, ReadError> {
    read_message(message, Source { name, position: Position::UnpackedByte })
}

fn read_message(message: &[u8], source: Source<'_>) -> Result<Profile, ReadError> {
    if message.is_empty() {
        return Err(ReadError::Empty { name: source.name.to_owned(), expected: EXPECTED });
    }
    let mut reader = Tables::of(message, source)?.reader()?;
    for field in Fields::of(message) {
        if let Ok(Field { number: field::SAMPLE, at, content: FieldContent::Bytes(bytes) }) = field
        {
            reader.sample(at, bytes)?;
        }
    }
    Ok(reader.profile)
}

/// A message of a table and where it begins.
type At<M> = (u64, M);

/// The outermost message taken apart, nothing checked yet.
struct Tables<'a> {
    source: Source<'a>,
    /// How many there are.
    samples: usize,
    strings: Vec<&'a str>,
    sample_types: Vec<At<proto::ValueType>>,
    mappings: Vec<At<proto::Mapping>>,
    functions: Vec<At<proto::Function>>,
    locations: Vec<At<&'a [u8]>>,
    comments: Vec<At<u64>>,
    default_sample_type: At<u64>,
    time_nanos: i64,
    duration_nanos: i64,
    period: At<i64>,
}

impl<'a> Tables<'a> {
    fn of(message: &'a [u8], source: Source<'a>) -> Result<Tables<'a>, ReadError> {
        let mut tables = Tables {
            source,
            samples: 0,
            strings: Vec::new(),
            sample_types: Vec::new(),
            mappings: Vec::new(),
            functions: Vec::new(),
            locations: Vec::new(),
            comments: Vec::new(),
            default_sample_type: (0, 0),
            time_nanos: 0,
            duration_nanos: 0,
            period: (0, 0),
        };
        for field in Fields::of(message) {
            let field = field
                .map_err(|(at, error)| source.undecodable(at, "a field of a profile", &error))?;
            tables.add(field)?;
        }
        Ok(tables)
    }

    fn add(&mut self, field: Field<'a>) -> Result<(), ReadError> {
        use FieldContent::{Bytes, Varint};
        let (source, at) = (self.source, field.at);
        match (field.number, field.content) {
            // Their turn comes when the tables are known.
            (field::SAMPLE, Bytes(_)) => self.samples += 1,
            (field::SAMPLE_TYPE, Bytes(bytes)) => {
                self.sample_types.push((at, source.decode(at, bytes, "a sample type")?));
            }
            (field::MAPPING, Bytes(bytes)) => {
                self.mappings.push((at, source.decode(at, bytes, "a mapping")?));
            }
            (field::LOCATION, Bytes(bytes)) => self.locations.push((at, bytes)),
            (field::FUNCTION, Bytes(bytes)) => {
                self.functions.push((at, source.decode(at, bytes, "a function")?));
            }
            (field::STRING_TABLE, Bytes(bytes)) => {
                let text = std::str::from_utf8(bytes)
                    .map_err(|error| source.malformed(at, "a text in UTF-8", error.to_string()))?;
                self.strings.push(text);
            }
            (field::TIME_NANOS, Varint(value)) => self.time_nanos = value as i64,
            (field::DURATION_NANOS, Varint(value)) => self.duration_nanos = value as i64,
            (field::COMMENT, Varint(value)) => self.comments.push((at, value)),
            (field::PERIOD, Varint(value)) => self.period = (at, value as i64),
            // Several numbers in one field, as newer writers do.
            (field::COMMENT, Bytes(mut bytes)) => {
                while !bytes.is_empty() {
                    let index = prost::encoding::decode_varint(&mut bytes)
                        .map_err(|error| source.undecodable(at, "comments", &error))?;
                    self.comments.push((at, index));
                }
            }
            (field::DEFAULT_SAMPLE_TYPE, Varint(value)) => self.default_sample_type = (at, value),
            (
                field::SAMPLE_TYPE..=field::STRING_TABLE
                | field::TIME_NANOS
                | field::DURATION_NANOS
                | field::COMMENT
                | field::DEFAULT_SAMPLE_TYPE,
                _,
            ) => {
                let found = format!("field {} with another type", field.number);
                return Err(source.malformed(at, "a field of a profile", found));
            }
            // Later versions of the format may add fields.
            _ => {}
        }
        Ok(())
    }

    /// Checks the tables and puts them into a profile.
    fn reader(self) -> Result<Reader<'a>, ReadError> {
        match self.strings.first() {
            Some(&"") => {}
            Some(text) => {
                return Err(self.source.malformed(0, "an empty first string", quote(text)));
            }
            None => {
                return Err(self.source.malformed(
                    0,
                    "a table of strings",
                    "a message without one",
                ));
            }
        }
        let mut sample_types = Vec::with_capacity(self.sample_types.len());
        for (at, value_type) in &self.sample_types {
            sample_types.push(ValueType {
                kind: self.string(*at, value_type.kind)?.to_owned(),
                unit: self.string(*at, value_type.unit)?.to_owned(),
            });
        }
        let default_sample_type = self.default_column(&sample_types)?;
        let sums = ColumnSums::new(sample_types.len());
        let mut profile = Profile::new(sample_types, default_sample_type);
        profile.time_nanos = self.time_nanos;
        profile.duration_nanos = self.duration_nanos;
        profile.sampling = self.sampling(&profile)?;
        for (at, index) in &self.comments {
            let comment = self.string(*at, *index as i64)?;
            profile.comments.push(comment.to_owned());
        }
        let mappings = self.put_mappings(&mut profile)?;
        let functions = self.put_functions(&mut profile)?;
        let locations = self.put_locations(&mut profile, &mappings, &functions)?;
        // Growing would copy them all. Where there is no room for what a file claims, it shows as
        // soon as the samples are read.
        let _ = profile.samples_mut().try_reserve_exact(self.samples);
        Ok(Reader { tables: self, profile, locations, sums })
    }

    /// How our own recorder sampled. Only its profiles have this column; what other programs mean by
    /// a period is their own.
    fn sampling(&self, profile: &Profile) -> Result<Option<Sampling>, ReadError> {
        let (at, period) = self.period;
        if profile.column(Metric::PeakSpace).is_none() || period == 0 || period == 1 {
            return Ok(None);
        }
        let sampling = u64::try_from(period).ok().and_then(Sampling::every);
        sampling.map(Some).ok_or_else(|| {
            let expected = format!("a period of 1 to {} bytes", Sampling::MOST);
            self.source.malformed(at, expected, period.to_string())
        })
    }

    fn string(&self, at: u64, index: i64) -> Result<&'a str, ReadError> {
        usize::try_from(index).ok().and_then(|at| self.strings.get(at)).copied().ok_or_else(|| {
            let expected = format!("a string index below {}", self.strings.len());
            self.source.malformed(at, expected, index.to_string())
        })
    }

    fn default_column(&self, sample_types: &[ValueType]) -> Result<Option<usize>, ReadError> {
        let (at, index) = self.default_sample_type;
        let kind = self.string(at, index as i64)?;
        Ok(sample_types.iter().position(|t| t.kind == kind && index != 0))
    }

    fn put_mappings(&self, profile: &mut Profile) -> Result<Ids<MappingId>, ReadError> {
        let mut ids = Ids::new("mapping", self.mappings.len());
        for (at, mapping) in &self.mappings {
            let id = profile.mapping(Mapping {
                start: mapping.memory_start,
                end: mapping.memory_limit,
                file_offset: mapping.file_offset,
                file: self.string(*at, mapping.filename)?.to_owned(),
                build_id: self.string(*at, mapping.build_id)?.to_owned(),
            });
            ids.insert(mapping.id, id, *at, self.source)?;
        }
        Ok(ids)
    }

    fn put_functions(&self, profile: &mut Profile) -> Result<Ids<FunctionId>, ReadError> {
        let mut ids = Ids::new("function", self.functions.len());
        for (at, function) in &self.functions {
            let id = profile.function(Function {
                name: self.string(*at, function.name)?.to_owned(),
                system_name: self.string(*at, function.system_name)?.to_owned(),
                file: self.string(*at, function.filename)?.to_owned(),
            });
            ids.insert(function.id, id, *at, self.source)?;
        }
        Ok(ids)
    }

    fn put_locations(
        &self,
        profile: &mut Profile,
        mappings: &Ids<MappingId>,
        functions: &Ids<FunctionId>,
    ) -> Result<Ids<LocationId>, ReadError> {
        let mut ids = Ids::new("location", self.locations.len());
        for (at, bytes) in &self.locations {
            let location: proto::Location = self.source.decode(*at, bytes, "a location")?;
            let mapping = match location.mapping_id {
                0 => None,
                id => Some(mappings.find(id, *at, self.source)?),
            };
            let mut lines = Vec::with_capacity(location.line.len());
            for line in &location.line {
                let number = u32::try_from(line.line).map_err(|_| {
                    let expected = "a line number from 0 to 4294967295";
                    self.source.malformed(*at, expected, line.line.to_string())
                })?;
                let function = functions.find(line.function_id, *at, self.source)?;
                lines.push(Line { function, line: number });
            }
            let id = profile.location(Location { mapping, address: location.address, lines });
            ids.insert(location.id, id, *at, self.source)?;
        }
        Ok(ids)
    }
}

/// The tables checked; samples can be added.
struct Reader<'a> {
    tables: Tables<'a>,
    profile: Profile,
    locations: Ids<LocationId>,
    sums: ColumnSums,
}

impl Reader<'_> {
    fn sample(&mut self, at: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let source = self.tables.source;
        let sample: proto::Sample = source.decode(at, bytes, "a sample")?;
        let columns = self.profile.sample_types().len();
        // A sample without values says nothing, whatever the header promises.
        if sample.value.len() != columns || columns == 0 {
            let expected = format!("a sample with {} values, one per sample type", columns.max(1));
            return Err(source.malformed(at, expected, sample.value.len().to_string()));
        }
        self.sums
            .add(&sample.value)
            .ok_or_else(|| source.malformed(at, SUMS_IN_RANGE, "a larger one"))?;
        let mut stack = Vec::with_capacity(sample.location_id.len());
        for id in &sample.location_id {
            stack.push(self.locations.find(*id, at, source)?);
        }
        let mut labels = Vec::with_capacity(sample.label.len());
        for label in &sample.label {
            labels.push(self.label(at, label)?);
        }
        labels.sort_by(|(a, _): &(String, _), (b, _)| a.cmp(b)); // stable: equal keys keep order
        let mut values = sample.value;
        // It has grown as it was decoded.
        values.shrink_to_fit();
        self.profile.push(Sample { stack, values, labels });
        Ok(())
    }

    fn label(&self, at: u64, label: &proto::Label) -> Result<(String, LabelValue), ReadError> {
        let key = self.tables.string(at, label.key)?;
        if key.is_empty() {
            return Err(self.tables.source.malformed(at, "a label with a key", "one without"));
        }
        let value = if label.text == 0 {
            let unit = self.tables.string(at, label.number_unit)?;
            LabelValue::Number(label.number, unit.to_owned())
        } else {
            LabelValue::Text(self.tables.string(at, label.text)?.to_owned())
        };
        Ok((key.to_owned(), value))
    }
}
