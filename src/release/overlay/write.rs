//! Writing an overlay.

use super::bits::{BitWriter, width};
use super::{FORMAT_VERSION, LENGTH_BITS, MAGIC, MAX_MOMENT, MAX_PRICE, OverlayError};
use crate::Digest;
use crate::bytes::put_varint;

/// What an overlay is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayContent {
    /// When it is made, in milliseconds since 1970-01-01 UTC.
    pub made_ms: u64,
    /// The digest of the manifest that it is for.
    pub manifest: Digest,
    /// Each shard of that.
    pub shards: Vec<ShardStock>,
}

/// What an overlay has of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardStock {
    /// Rows of the shard and of its deltas, those among them that are not there any more.
    pub rows: u32,
    /// Those out of stock, ascending.
    pub out: Vec<u32>,
    /// Those with another price than the catalogue's, ascending, each with that price in cents.
    pub prices: Vec<(u32, u64)>,
    /// Whether the directory names the row of every item of the shard.
    pub has_exact_slots: bool,
}

impl OverlayContent {
    /// The bytes of the overlay: the same content gives the same bytes.
    ///
    /// # Errors
    /// If a row is not of its shard or not above the one before, or a number is above its limit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OverlayError> {
        OverlayError::check("moment", self.made_ms, 0, MAX_MOMENT)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.made_ms.to_le_bytes());
        bytes.extend(self.manifest.as_bytes());
        bytes.extend((self.shards.len() as u32).to_le_bytes());
        let mut lists = Vec::new();
        for shard in &self.shards {
            let list = shard.lists()?;
            put_varint(shard.out.len() as u32 * 2 + u32::from(shard.has_exact_slots), &mut bytes);
            put_varint(shard.prices.len() as u32, &mut bytes);
            put_varint(list.len() as u32, &mut bytes);
            lists.extend(list);
        }
        bytes.extend(lists);
        Ok(bytes)
    }
}

impl ShardStock {
    fn lists(&self) -> Result<Vec<u8>, OverlayError> {
        let mut bits = BitWriter::default();
        let gap = |next: u64, row: u32, what| {
            OverlayError::check(what, row.into(), next, u64::from(self.rows).saturating_sub(1))?;
            Ok::<_, OverlayError>(u64::from(row) - next)
        };
        let mut next = 0;
        for &row in &self.out {
            bits.rice(gap(next, row, "a row out of stock")?, width(self.rows, self.out.len() as u32));
            next = u64::from(row) + 1;
        }
        next = 0;
        for &(row, price) in &self.prices {
            OverlayError::check("a price", price, 0, MAX_PRICE)?;
            bits.rice(gap(next, row, "a row with a price")?, width(self.rows, self.prices.len() as u32));
            let length = u64::BITS - price.leading_zeros();
            bits.bits(length.into(), LENGTH_BITS);
            bits.bits(price, length);
            next = u64::from(row) + 1;
        }
        Ok(bits.finish())
    }
}
