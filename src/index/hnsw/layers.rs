//! The lists of a graph under construction.

/// The lists of one layer, each at a fixed place and led by its length, so that reading one touches one stretch of memory.
pub(super) struct Layer {
    cap: usize,
    slots: Vec<u32>,
}

impl Layer {
    /// `count` empty lists of at most `cap` links.
    pub(super) fn new(count: usize, cap: usize) -> Self {
        Self { cap, slots: vec![0; count * (cap + 1)] }
    }

    /// Nodes.
    pub(super) fn len(&self) -> usize {
        self.slots.len() / (self.cap + 1)
    }

    /// The links of `node`.
    pub(super) fn links(&self, node: u32) -> &[u32] {
        let slot = &self.slots[node as usize * (self.cap + 1)..][..=self.cap];
        &slot[1..][..slot[0] as usize]
    }

    /// The lists of `nodes`, which ascend, to be written at the same time.
    pub(super) fn lists_mut(&mut self, nodes: impl Iterator<Item = u32>) -> impl Iterator<Item = List<'_>> {
        let size = self.cap + 1;
        let mut rest = self.slots.as_mut_slice();
        let mut first = 0;
        nodes.map(move |node| {
            let slots = std::mem::take(&mut rest).split_at_mut((node as usize - first) * size).1;
            let (slot, after) = slots.split_at_mut(size);
            (rest, first) = (after, node as usize + 1);
            List { slot }
        })
    }
}

/// The links of one node, to be written.
pub(super) struct List<'a> {
    slot: &'a mut [u32],
}

impl List<'_> {
    /// The links.
    pub(super) fn links(&self) -> &[u32] {
        &self.slot[1..][..self.slot[0] as usize]
    }

    /// Puts `links` behind those that are there, or returns `false` if there is not enough room.
    pub(super) fn append(&mut self, links: impl ExactSizeIterator<Item = u32>) -> bool {
        let (len, more) = (self.slot[0] as usize, links.len());
        let room = len + more < self.slot.len();
        if room {
            self.slot[1 + len..].iter_mut().zip(links).for_each(|(slot, link)| *slot = link);
            self.slot[0] = (len + more) as u32;
        }
        room
    }

    /// Puts `links` in the place of those that are there; there must be room for them.
    pub(super) fn replace(&mut self, links: impl ExactSizeIterator<Item = u32>) {
        self.slot[0] = 0;
        assert!(self.append(links), "no list is longer than the cap");
    }
}
