//! What computes a query embedding: a [`Program`] in every build, or an ONNX graph in builds with the feature `tract-engine`.

use super::TowerError;
use super::program::{Input, InputKind, Program, Scratch, program_error};

#[cfg(feature = "tract-engine")]
use super::engine::Graph;

/// The bit of a query tower file's flags that says that it holds an ONNX graph.
pub const FLAG_ONNX: u16 = 1;

/// What a query tower runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Runner {
    /// What lowering made.
    Program(Program),
    /// What had no lowering.
    #[cfg(feature = "tract-engine")]
    Graph(Graph),
}

impl Runner {
    /// Whether this build runs ONNX graphs.
    pub(crate) const fn has_engine() -> bool {
        cfg!(feature = "tract-engine")
    }

    /// Whether it is an ONNX graph.
    pub fn is_graph(&self) -> bool {
        self.program().is_none()
    }

    /// Checks, before anything else is read, that this build runs what a file's flags announce.
    pub(super) fn check_flags(flags: u16) -> Result<(), TowerError> {
        match flags {
            0 => Ok(()),
            FLAG_ONNX if Self::has_engine() => Ok(()),
            FLAG_ONNX => Err(TowerError::Engine),
            _ => Err(program_error("reader_flags", format!("{flags:#06x}"), "0 or 1".to_owned())),
        }
    }

    /// Reads what a file's flags announce.
    pub(super) fn decode(flags: u16, bytes: &[u8]) -> Result<Self, TowerError> {
        #[cfg(feature = "tract-engine")]
        if flags == FLAG_ONNX {
            return Graph::open(bytes).map(Self::Graph);
        }
        #[cfg(not(feature = "tract-engine"))]
        let _ = flags;
        Program::decode(bytes).map(Self::Program)
    }

    /// The flags of the file and the bytes in it.
    pub(super) fn encode(&self) -> (u16, Vec<u8>) {
        match self {
            Self::Program(program) => (0, program.encode()),
            #[cfg(feature = "tract-engine")]
            Self::Graph(graph) => (FLAG_ONNX, graph.onnx().to_vec()),
        }
    }

    /// Kind and length of each input.
    pub fn inputs(&self) -> &[(InputKind, usize)] {
        match self {
            Self::Program(program) => program.inputs(),
            #[cfg(feature = "tract-engine")]
            Self::Graph(graph) => graph.inputs(),
        }
    }

    /// Length of the output.
    pub fn output_len(&self) -> usize {
        match self {
            Self::Program(program) => program.output_len(),
            #[cfg(feature = "tract-engine")]
            Self::Graph(graph) => graph.output_len(),
        }
    }

    /// The program, if it is one.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Self::Program(program) => Some(program),
            #[cfg(feature = "tract-engine")]
            Self::Graph(_) => None,
        }
    }

    /// Computes the output.
    ///
    /// # Errors
    /// As [`Program::run`]; of a graph also `TowerError::Graph` where it fails or its output is not finite.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn run<'s>(&self, inputs: &[Input<'_>], scratch: &'s mut Scratch) -> Result<&'s [f32], TowerError> {
        match self {
            Self::Program(program) => program.run(inputs, scratch),
            #[cfg(feature = "tract-engine")]
            Self::Graph(graph) => graph.run(inputs).map(|output| scratch.keep(output)),
        }
    }
}

impl From<Program> for Runner {
    fn from(program: Program) -> Self {
        Self::Program(program)
    }
}

#[cfg(feature = "tract-engine")]
impl From<Graph> for Runner {
    fn from(graph: Graph) -> Self {
        Self::Graph(graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_known_or_refused() {
        Runner::check_flags(0).unwrap();
        match Runner::check_flags(FLAG_ONNX) {
            Ok(()) => assert!(Runner::has_engine()),
            Err(error) => assert!(matches!(error, TowerError::Engine) && !Runner::has_engine(), "{error}"),
        }
        for flags in [2, 3, 1 << 15] {
            let error = Runner::check_flags(flags).unwrap_err();
            assert!(matches!(error, TowerError::Program { what: "reader_flags", .. }), "{error}");
        }
    }
}
