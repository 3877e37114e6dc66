//! A part of a transaction that can be undone alone.

use super::batch::Care;
use crate::store::{Conn, StoreError, Tx};

/// A savepoint, or none where everything stands or falls together.
#[must_use]
pub(super) struct Savepoint {
    care: Care,
}

/// Marks this moment of the transaction.
pub(super) async fn begin(tx: &Tx, care: Care) -> Result<Savepoint, StoreError> {
    if care == Care::Apart {
        tx.exec(tx.sql("SAVEPOINT slipstream_effect")).await?;
    }
    Ok(Savepoint { care })
}

impl Savepoint {
    /// Undoes everything since.
    pub(super) async fn roll_back(self, tx: &Tx) -> Result<(), StoreError> {
        if self.care == Care::Apart {
            tx.exec(tx.sql("ROLLBACK TO SAVEPOINT slipstream_effect")).await?;
        }
        Ok(())
    }

    /// Lets it stand.
    pub(super) async fn release(self, tx: &Tx) -> Result<(), StoreError> {
        if self.care == Care::Apart {
            tx.exec(tx.sql("RELEASE SAVEPOINT slipstream_effect")).await?;
        }
        Ok(())
    }
}
