//! All partitions by their index, which none ever has after another: what was meant for one that is gone reaches nobody.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use crate::event::PartitionIndex;
use crate::partition::Partition;

/// The partitions of the catalog that runs, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    by_index: BTreeMap<usize, Partition>,
    next: usize,
}

impl Partitions {
    /// The index of the partition that is added next.
    pub(crate) fn next(&self) -> PartitionIndex {
        PartitionIndex(self.next)
    }

    pub(crate) fn push(&mut self, partition: Partition) {
        self.by_index.insert(self.next, partition);
        self.next += 1;
    }

    pub(crate) fn remove(&mut self, index: PartitionIndex) {
        self.by_index.remove(&index.0);
    }

    /// Tells it something, if it is still there.
    pub(crate) fn tell(&mut self, index: PartitionIndex, tell: impl FnOnce(&mut Partition)) {
        if let Some(partition) = self.by_index.get_mut(&index.0) {
            tell(partition);
        }
    }

    pub(crate) fn indexes(&self) -> Vec<PartitionIndex> {
        self.by_index.keys().copied().map(PartitionIndex).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.by_index.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.by_index.values_mut()
    }
}

/// Of one that is there, as every topic's are.
impl Index<usize> for Partitions {
    type Output = Partition;

    fn index(&self, index: usize) -> &Partition {
        &self.by_index[&index]
    }
}

impl IndexMut<usize> for Partitions {
    fn index_mut(&mut self, index: usize) -> &mut Partition {
        self.by_index.get_mut(&index).expect("a partition of a declared topic")
    }
}
