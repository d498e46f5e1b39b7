//! Reading a profile, with everything checked.
//!
//! The tables are read first, in one pass over the outermost message; in a second one each sample
//! is decoded, checked against them and added, so that no second copy of the samples is ever held.
//! Whatever is made of the file is taken off the [`Room`] that a file of its size has.

use std::borrow::Cow;
use std::mem::size_of;

use ledger::Sampling;

use super::fields::{Field, FieldContent, Fields};
use super::ids::Ids;
use super::proto::{self, field};
use super::source::Source;
use super::unpack::unpack;
use crate::column_sums::{ColumnSums, SUMS_IN_RANGE};
use crate::error::quote;
use crate::room::{ENTRY, Room};
use crate::{
    Function, FunctionId, LabelValue, Line, Location, LocationId, Mapping, MappingId, Metric,
    Position, Profile, ReadError, Sample, ValueType,
};

/// The most columns of a profile. Writers have up to ten; each is a number in every sample.
const MOST_COLUMNS: usize = 64;

/// The longest name of a function, in bytes. Compilers have made names of some ten thousand, and
/// what a name is for is looked up in it wherever it stands.
const LONGEST_NAME: usize = 64 << 10;

/// What should be in a file that is empty.
const EXPECTED: &str = "a pprof profile (protobuf, usually gzip)";

/// Reads a profile, gzip or plain. `name` is what errors call the file.
pub fn read(bytes: &[u8], name: &str) -> Result<Profile, ReadError> {
    let room = Room::of_file(bytes.len() as u64);
    match unpack(bytes, name)? {
        Cow::Borrowed(message) => {
            read_message(message, Source { name, position: Position::Byte }, room)
        }
        Cow::Owned(message) => read_unpacked(&message, name, room),
    }
}

/// Reads a profile that came out of a compressed file with this room.
pub(crate) fn read_unpacked(message: &[u8], name: &str, room: Room) -> Result<Profile, ReadError> {
    read_message(message, Source { name, position: Position::UnpackedByte }, room)
}

fn read_message(message: &[u8], source: Source<'_>, room: Room) -> Result<Profile, ReadError> {
    if message.is_empty() {
        return Err(ReadError::Empty { name: source.name.to_owned(), expected: EXPECTED });
    }
    let mut reader = Tables::of(message, source, room)?.reader()?;
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
    room: Room,
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
    fn of(message: &'a [u8], source: Source<'a>, room: Room) -> Result<Tables<'a>, ReadError> {
        let mut tables = Tables {
            source,
            room,
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
        self.make_room_for(&field)?;
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

    /// For an entry of a table, and what it will be in the profile.
    fn make_room_for(&mut self, field: &Field<'_>) -> Result<(), ReadError> {
        let sizes = match field.number {
            field::SAMPLE => [size_of::<Sample>(), 0],
            field::SAMPLE_TYPE => [size_of::<At<proto::ValueType>>(), size_of::<ValueType>()],
            field::MAPPING => [size_of::<At<proto::Mapping>>(), size_of::<Mapping>()],
            field::FUNCTION => [size_of::<At<proto::Function>>(), size_of::<Function>()],
            field::LOCATION => [size_of::<At<&[u8]>>(), size_of::<Location>()],
            field::STRING_TABLE => [size_of::<&str>(), 0],
            field::COMMENT => match field.content {
                // A number takes a byte at least.
                FieldContent::Bytes(bytes) => [bytes.len() * size_of::<At<u64>>(), 0],
                _ => [size_of::<At<u64>>(), 0],
            },
            _ => return Ok(()),
        };
        let in_tables = if sizes[1] == 0 { 0 } else { ENTRY };
        self.room.take(sizes.iter().sum::<usize>() as u64 + in_tables, self.source.name)
    }

    /// For copies of texts, before they are made.
    fn make_room_for_texts<const N: usize>(
        &mut self,
        at: u64,
        indices: [i64; N],
    ) -> Result<(), ReadError> {
        let mut bytes = 0;
        for index in indices {
            bytes += self.string(at, index)?.len() as u64;
        }
        self.room.take(bytes, self.source.name)
    }

    /// For a message that is decoded: what is packed into a byte of it is 16 bytes for a moment.
    fn make_room_to_decode(&self, bytes: &[u8]) -> Result<(), ReadError> {
        self.room.has(16 * bytes.len() as u64, self.source.name)
    }

    /// Checks the tables and puts them into a profile.
    fn reader(mut self) -> Result<Reader<'a>, ReadError> {
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
        if let Some((at, _)) = self.sample_types.get(MOST_COLUMNS) {
            let expected = format!("at most {MOST_COLUMNS} sample types");
            return Err(self.source.malformed(*at, expected, "more"));
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
        for (at, index) in std::mem::take(&mut self.comments) {
            self.make_room_for_texts(at, [index as i64])?;
            self.room.take(size_of::<String>() as u64, self.source.name)?;
            let comment = self.string(at, index as i64)?;
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

    /// How our own recorder sampled. Only its profiles have this column; what other programs mean
    /// by a period is their own.
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

    fn put_mappings(&mut self, profile: &mut Profile) -> Result<Ids<MappingId>, ReadError> {
        let mut ids = Ids::new("mapping", self.mappings.len());
        for (at, mapping) in &std::mem::take(&mut self.mappings) {
            self.make_room_for_texts(*at, [mapping.filename, mapping.build_id])?;
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

    fn put_functions(&mut self, profile: &mut Profile) -> Result<Ids<FunctionId>, ReadError> {
        let mut ids = Ids::new("function", self.functions.len());
        for (at, function) in &std::mem::take(&mut self.functions) {
            let texts = [function.name, function.system_name, function.filename];
            self.make_room_for_texts(*at, texts)?;
            for text in texts {
                let length = self.string(*at, text)?.len();
                if length > LONGEST_NAME {
                    let expected = format!("names of at most {LONGEST_NAME} bytes");
                    return Err(self.source.malformed(*at, expected, length.to_string()));
                }
            }
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
        &mut self,
        profile: &mut Profile,
        mappings: &Ids<MappingId>,
        functions: &Ids<FunctionId>,
    ) -> Result<Ids<LocationId>, ReadError> {
        let mut ids = Ids::new("location", self.locations.len());
        for (at, bytes) in &std::mem::take(&mut self.locations) {
            self.make_room_to_decode(bytes)?;
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
                // Whoever shows a line has its texts beside it, once for each location.
                let Function { name, file, .. } = profile.function_of(function);
                let texts = name.len() + file.len() + size_of::<Line>();
                self.room.take(texts as u64, self.source.name)?;
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
        self.tables.make_room_to_decode(bytes)?;
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
        let lists = size_of::<LocationId>() * sample.location_id.len()
            + size_of::<i64>() * sample.value.len()
            + size_of::<(Cow<'static, str>, LabelValue)>() * sample.label.len();
        self.tables.room.take(lists as u64 + ENTRY, source.name)?;
        let mut stack = Vec::with_capacity(sample.location_id.len());
        for id in &sample.location_id {
            stack.push(self.locations.find(*id, at, source)?);
        }
        // Whoever adds up samples by their sites has the texts of each site.
        let leaf = stack.first().and_then(|leaf| self.profile.location_of(*leaf).lines.first());
        if let Some(line) = leaf {
            let Function { name, file, .. } = self.profile.function_of(line.function);
            self.tables.room.take((name.len() + file.len()) as u64, source.name)?;
        }
        let mut labels = Vec::with_capacity(sample.label.len());
        for label in &sample.label {
            let texts = [label.key, if label.text == 0 { label.number_unit } else { label.text }];
            self.tables.make_room_for_texts(at, texts)?;
            labels.push(self.label(at, label)?);
        }
        labels.sort_by(|(a, _): &(Cow<'static, str>, _), (b, _)| a.cmp(b)); // stable: equal keys keep order
        let mut values = sample.value;
        // It has grown as it was decoded.
        values.shrink_to_fit();
        self.profile.push(Sample { stack, values, labels });
        Ok(())
    }

    fn label(
        &self,
        at: u64,
        label: &proto::Label,
    ) -> Result<(Cow<'static, str>, LabelValue), ReadError> {
        let key = self.tables.string(at, label.key)?;
        if key.is_empty() {
            return Err(self.tables.source.malformed(at, "a label with a key", "one without"));
        }
        let value = if label.text == 0 {
            let unit = self.tables.string(at, label.number_unit)?;
            LabelValue::Number(label.number, unit.to_owned())
        } else {
            LabelValue::Text(self.tables.string(at, label.text)?.into())
        };
        Ok((Cow::Owned(key.to_owned()), value))
    }
}
