//! What candidates are ordered by: a formula over the ranker's probabilities and the numbers of an item.

use crate::json::{Json, JsonError};

/// Most terms of an objective.
pub const MAX_TERMS: usize = 64;

/// One term of a formula in reverse Polish notation.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// A number.
    Number(f32),
    /// The probability at this place of the ranker's output.
    Task(usize),
    /// The number in the column of this name; 0 where it is missing.
    Column(String),
    /// Takes two values, or of `log1p` one, and leaves one: `+`, `-`, `*`, `/`, `min`, `max`, `log1p`.
    Operator(&'static str),
}

/// The operators, and how many values each takes.
const OPERATORS: [(&str, usize); 7] = [("+", 2), ("-", 2), ("*", 2), ("/", 2), ("min", 2), ("max", 2), ("log1p", 1)];

/// A formula that leaves exactly one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective(Vec<Term>);

impl Objective {
    /// The probability of one task.
    pub fn of_task(task: usize) -> Self {
        Self(vec![Term::Task(task)])
    }

    /// A formula; `None` unless every operator finds its values and one value is left, of at most [`MAX_TERMS`].
    pub fn new(terms: Vec<Term>) -> Option<Self> {
        let mut depth = 0_usize;
        for term in &terms {
            let takes = match term {
                Term::Operator(name) => OPERATORS.iter().find(|(known, _)| known == name)?.1,
                _ => 0,
            };
            depth = depth.checked_sub(takes)? + 1;
        }
        (depth == 1 && terms.len() <= MAX_TERMS).then_some(Self(terms))
    }

    /// The operator of this name.
    pub fn operator(name: &str) -> Option<Term> {
        OPERATORS.iter().find(|(known, _)| *known == name).map(|(known, _)| Term::Operator(known))
    }

    /// The terms.
    pub fn terms(&self) -> &[Term] {
        &self.0
    }

    /// Its value; 0 where it is no number. `column` says what a column holds.
    pub fn value(&self, probabilities: &[f32], column: &dyn Fn(&str) -> Option<f32>) -> f32 {
        let mut stack: Vec<f32> = Vec::new();
        for term in &self.0 {
            let value = match term {
                Term::Number(number) => *number,
                Term::Task(task) => probabilities.get(*task).copied().unwrap_or(0.0),
                Term::Column(name) => column(name).unwrap_or(0.0),
                Term::Operator(name) => {
                    let b = stack.pop().unwrap_or(0.0);
                    let mut a = || stack.pop().unwrap_or(0.0);
                    match *name {
                        "+" => a() + b,
                        "-" => a() - b,
                        "*" => a() * b,
                        "/" => a() / b,
                        "min" => a().min(b),
                        "max" => a().max(b),
                        _ => libm::logf(1.0 + b.max(0.0)),
                    }
                }
            };
            stack.push(value);
        }
        stack.pop().filter(|value| value.is_finite()).unwrap_or(0.0)
    }

    /// Reads `[0.5, "purchase", "*", ".price", …]`: numbers, names of tasks, columns behind a point, operators.
    pub(super) fn from_json(json: &Json<'_>, tasks: &[String]) -> Result<Self, JsonError> {
        let list = json.list()?;
        if list.len() > MAX_TERMS {
            return Err(json.wrong("a formula with one value"));
        }
        let mut terms = Vec::with_capacity(list.len());
        for term in list {
            terms.push(match term.text() {
                Err(_) => Term::Number(term.float()? as f32),
                Ok(name) => {
                    let task = || tasks.iter().position(|task| task == name).map(Term::Task);
                    let column = || name.strip_prefix('.').map(|name| Term::Column(name.to_owned()));
                    let known = Self::operator(name).or_else(task).or_else(column);
                    known.ok_or_else(|| term.wrong("a task, a column or an operator"))?
                }
            });
        }
        Self::new(terms).ok_or_else(|| json.wrong("a formula with one value"))
    }

    /// What [`Objective::from_json`] reads.
    #[cfg(any(feature = "origin", test))]
    pub(super) fn to_json(&self, tasks: &[String]) -> serde_json::Value {
        let term = |term: &Term| match term {
            Term::Number(number) => serde_json::json!(number),
            Term::Task(task) => serde_json::json!(tasks.get(*task)),
            Term::Column(name) => serde_json::json!([".", &**name].concat()),
            Term::Operator(name) => serde_json::json!(name),
        };
        self.0.iter().map(term).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_gives_its_value_and_never_more_or_less_than_one() {
        let op = |name| Objective::operator(name).unwrap();
        let terms = vec![Term::Task(1), Term::Column("price".to_owned()), Term::Number(100.0), op("/"), op("*")];
        let formula = Objective::new(terms).unwrap();
        assert_eq!(formula.value(&[0.0, 0.5], &|name| (name == "price").then_some(300.0)), 1.5);
        assert_eq!(formula.value(&[0.0, 0.5], &|_| None), 0.0);
        assert!(Objective::new(vec![op("log1p")]).is_none() && Objective::new(Vec::new()).is_none());
        assert!(Objective::new(vec![Term::Task(0), Term::Task(0)]).is_none());
        let by_nothing = Objective::new(vec![Term::Number(1.0), Term::Number(0.0), op("/")]).unwrap();
        assert_eq!(by_nothing.value(&[], &|_| None), 0.0);
    }
}
