//! Numbers and texts in few bytes.

use crate::id::{AccountId, MAX};

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// They end too early: more may come.
    #[error("the frame is not all there")]
    Short,
    /// No such kind, or a flag that the kind does not have.
    #[error("not a kind of frame")]
    Kind,
    /// A number in another form than the shortest, or out of range.
    #[error("not a number as frames have them")]
    Number,
    /// A text that is too long, or not UTF-8.
    #[error("not a text as frames have them")]
    Text,
}

/// Seven bits a byte, the lowest first.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn text(out: &mut Vec<u8>, text: &str, most: usize) -> Result<(), CompactError> {
    if text.len() > most {
        return Err(CompactError::Text);
    }
    number(out, text.len() as u64);
    out.extend(text.as_bytes());
    Ok(())
}

/// What is not read yet.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl Rest<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], CompactError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CompactError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, CompactError> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, CompactError> {
        let mut value = 0_u64;
        for place in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 127);
            if place == 9 && byte > 1 || place > 0 && byte == 0 {
                return Err(CompactError::Number);
            }
            value |= bits << (7 * place);
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(CompactError::Number)
    }

    pub(super) fn id(&mut self) -> Result<u64, CompactError> {
        let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| CompactError::Short)?;
        Some(u64::from_be_bytes(bytes)).filter(|id| *id <= MAX).ok_or(CompactError::Number)
    }

    pub(super) fn account(&mut self) -> Result<AccountId, CompactError> {
        AccountId::from_u64(self.id()?).map_err(|_| CompactError::Number)
    }

    pub(super) fn text(&mut self, most: usize) -> Result<String, CompactError> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= most);
        let bytes = self.take(length.ok_or(CompactError::Text)?)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| CompactError::Text)
    }
}
