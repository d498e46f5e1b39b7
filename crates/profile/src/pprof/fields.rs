//! The outermost message, field by field, each with the place where it begins.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// One field of a message.
pub(super) struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Where it begins in the message, in bytes.
    pub at: u64,
    /// Its content.
    pub content: FieldContent<'a>,
}

pub(super) enum FieldContent<'a> {
    /// A number.
    Varint(u64),
    /// A text or a message, or several numbers.
    Bytes(&'a [u8]),
    /// A fixed-size number or a group: nothing that a profile uses.
    Other,
}

/// Iterates over the fields of `message`.
pub(super) struct Fields<'a> {
    message: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { message, rest: message }
    }

    fn parse(&mut self, at: u64) -> Result<Field<'a>, DecodeError> {
        let (number, wire_type) = decode_key(&mut self.rest)?;
        let content = match wire_type {
            WireType::Varint => FieldContent::Varint(decode_varint(&mut self.rest)?),
            WireType::LengthDelimited => {
                let before = self.rest;
                skip_field(wire_type, number, &mut self.rest, DecodeContext::default())?;
                let mut whole = &before[..before.len() - self.rest.len()];
                decode_varint(&mut whole)?; // the length; the content is what is left
                FieldContent::Bytes(whole)
            }
            _ => {
                skip_field(wire_type, number, &mut self.rest, DecodeContext::default())?;
                FieldContent::Other
            }
        };
        Ok(Field { number, at, content })
    }
}

impl<'a> Iterator for Fields<'a> {
    /// The field, or where and why the message cannot be read on.
    type Item = Result<Field<'a>, (u64, DecodeError)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = (self.message.len() - self.rest.len()) as u64;
        let field = self.parse(at).map_err(|error| (at, error));
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
