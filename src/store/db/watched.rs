//! What tests do to statements, and see of them.

/// Lets a test lose the database after so many statements, as a process that is killed does: what is not committed is gone.
pub(crate) mod failpoint {
    use std::cell::Cell;

    use crate::store::error::StoreError;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static CUT: Cell<bool> = const { Cell::new(false) };
    }

    /// The statements of this thread fail after `statements` more of them; commits count as well.
    pub(crate) fn after(statements: u32) {
        LEFT.set(Some(statements));
        CUT.set(false);
    }

    /// Statements work again. Whether any had failed.
    pub(crate) fn off() -> bool {
        LEFT.set(None);
        CUT.get()
    }

    pub(crate) fn pass() -> Result<(), StoreError> {
        match LEFT.get() {
            Some(0) => {
                CUT.set(true);
                Err(StoreError::Unreachable("a test cut the connection".to_owned()))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Lets a test see which statements its thread sends.
pub(crate) mod recorder {
    use std::cell::RefCell;

    use crate::store::sql::Sql;

    thread_local! {
        static SENT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    }

    pub(crate) fn note(sql: &Sql) {
        SENT.with_borrow_mut(|sent| sent.iter_mut().for_each(|sent| sent.push(sql.text())));
    }

    /// The texts of the statements that `work` sends.
    pub(crate) async fn of(work: impl Future<Output = ()>) -> Vec<String> {
        SENT.set(Some(Vec::new()));
        work.await;
        SENT.take().unwrap_or_default()
    }
}
