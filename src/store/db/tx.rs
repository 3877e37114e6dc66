//! Transactions.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Statement};

use super::Access;
#[cfg(test)]
use super::failpoint;
use crate::store::error::StoreError;
use crate::store::sql::Dialect;
use crate::store::statements::Statements;
use crate::store::unnamed::UnnamedTx;
use crate::telemetry::metrics::Held;

/// An open transaction. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    pub(super) open: Open,
    pub(super) dialect: Dialect,
    pub(super) access: Access,
    pub(super) statements: Arc<Statements>,
    /// Sent when all of it is certain.
    pub(super) held: Mutex<Vec<Held>>,
}

#[derive(Debug)]
pub(super) enum Open {
    Driver(DatabaseTransaction),
    Unnamed(UnnamedTx),
}

impl Tx {
    /// Makes everything done in it visible and lasting.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub async fn commit(self) -> Result<(), StoreError> {
        #[cfg(test)]
        failpoint::pass()?;
        match self.open {
            Open::Driver(tx) => tx.commit().await?,
            Open::Unnamed(tx) => tx.commit().await?,
        }
        self.held.into_inner().unwrap_or_else(PoisonError::into_inner).iter().for_each(Held::send);
        Ok(())
    }

    pub(super) fn hold(&self, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }

    /// Undoes everything done in it.
    ///
    /// # Errors
    /// As any statement.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.open {
            Open::Driver(tx) => tx.rollback().await?,
            Open::Unnamed(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

impl Tx {
    pub(super) async fn sent_exec(&self, statement: Statement) -> Result<u64, StoreError> {
        Ok(match &self.open {
            Open::Driver(tx) => tx.execute_raw(statement).await?.rows_affected(),
            Open::Unnamed(tx) => tx.exec(statement).await?,
        })
    }

    pub(super) async fn sent_all(&self, statement: Statement) -> Result<Vec<QueryResult>, StoreError> {
        Ok(match &self.open {
            Open::Driver(tx) => tx.query_all_raw(statement).await?,
            Open::Unnamed(tx) => tx.all(statement).await?,
        })
    }

    pub(super) async fn sent_one(&self, statement: Statement) -> Result<Option<QueryResult>, StoreError> {
        Ok(match &self.open {
            Open::Driver(tx) => tx.query_one_raw(statement).await?,
            Open::Unnamed(tx) => tx.one(statement).await?,
        })
    }
}
