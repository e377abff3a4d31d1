//! No lists: rows are read.

use super::{Engine, Newest};
use crate::error::StorageError;

#[derive(Debug)]
pub(super) struct Nowhere;

#[async_trait::async_trait]
impl Engine for Nowhere {
    fn is_there(&self) -> bool {
        false
    }

    async fn newest(&self, _: &str, _: u64, _: usize) -> Result<Option<Newest>, StorageError> {
        Ok(None)
    }

    async fn push(&self, _: &[String], _: u64, _: u64) -> Result<(), StorageError> {
        Ok(())
    }

    async fn forget(&self, _: &[String]) -> Result<(), StorageError> {
        Ok(())
    }

    async fn settled(&self, _: &[String]) -> Result<(), StorageError> {
        Ok(())
    }

    async fn went_back(&self) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn begin(&self, _: &str) -> Result<Option<String>, StorageError> {
        Ok(None)
    }

    async fn fill(&self, _: &str, _: &str, _: &[u64]) -> Result<bool, StorageError> {
        Ok(false)
    }
}
