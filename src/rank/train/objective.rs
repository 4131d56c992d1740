//! `[ranker] objective` as text: numbers, tasks, columns, `+ - * / ( )`, `min(a, b)`, `max(a, b)` and `log1p(a)`.

use super::RankerError;
use crate::towers::{MAX_TERMS, Objective, Term};

/// Deepest nesting of parentheses and signs.
const MAX_DEPTH: usize = 16;

/// Reads an objective over these tasks; without one it is the last of them. Names that are no task are columns.
///
/// # Errors
/// [`RankerError::Objective`] with the character that is wrong.
pub fn parse(text: Option<&str>, tasks: &[String]) -> Result<Objective, RankerError> {
    let Some(text) = text else { return Ok(Objective::of_task(tasks.len().saturating_sub(1))) };
    let mut parser = Parser { text, at: 0, tasks, terms: Vec::new(), depth: 0 };
    parser.sum()?;
    if parser.peek().is_some() {
        return Err(parser.wrong("an operator or the end"));
    }
    let found = format!("{} terms", parser.terms.len());
    Objective::new(parser.terms).ok_or(RankerError::Objective {
        column: 1,
        found,
        expected: format!("at most {MAX_TERMS}"),
    })
}

struct Parser<'p> {
    text: &'p str,
    at: usize,
    tasks: &'p [String],
    terms: Vec<Term>,
    depth: usize,
}

type Parsed = Result<(), RankerError>;

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn wrong(&mut self, expected: &str) -> RankerError {
        let found = self.peek().map_or("the end".to_owned(), |found| format!("{found:?}"));
        let column = self.text[..self.at].chars().count() + 1;
        RankerError::Objective { column, found, expected: expected.to_owned() }
    }

    fn take(&mut self, wanted: char) -> Parsed {
        if self.peek() == Some(wanted) {
            self.at += wanted.len_utf8();
            return Ok(());
        }
        Err(self.wrong(&format!("{wanted:?}")))
    }

    fn operator(&mut self, name: &str) {
        self.terms.extend(Objective::operator(name));
    }

    fn sum(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("at most 16 levels of parentheses"));
        }
        self.product()?;
        while let Some(sign @ ('+' | '-')) = self.peek() {
            self.take(sign)?;
            self.product()?;
            self.operator(if sign == '+' { "+" } else { "-" });
        }
        self.depth -= 1;
        Ok(())
    }

    fn product(&mut self) -> Parsed {
        self.one()?;
        while let Some(sign @ ('*' | '/')) = self.peek() {
            self.take(sign)?;
            self.one()?;
            self.operator(if sign == '*' { "*" } else { "/" });
        }
        Ok(())
    }

    fn one(&mut self) -> Parsed {
        match self.peek() {
            Some('(') => {
                self.take('(')?;
                self.sum()?;
                self.take(')')
            }
            Some(first) if first.is_ascii_digit() || first == '.' => self.number(),
            Some(first) if first.is_alphabetic() || first == '_' => self.name(),
            _ => Err(self.wrong("a number, a name or \"(\"")),
        }
    }

    fn word(&mut self, is_part: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|part| !is_part(part)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Parsed {
        let start = self.at;
        let number = self.word(|part| part.is_ascii_digit() || part == '.').parse::<f32>();
        let Some(number) = number.ok().filter(|number| number.is_finite()) else {
            self.at = start;
            return Err(self.wrong("a number"));
        };
        self.terms.push(Term::Number(number));
        Ok(())
    }

    fn name(&mut self) -> Parsed {
        let name = self.word(|part| part.is_alphanumeric() || part == '_').to_owned();
        if self.peek() == Some('(') {
            let takes = match name.as_str() {
                "min" | "max" => 2,
                "log1p" => 1,
                _ => return Err(self.wrong("min, max or log1p before \"(\"")),
            };
            self.take('(')?;
            self.sum()?;
            if takes == 2 {
                self.take(',')?;
                self.sum()?;
            }
            self.take(')')?;
            self.operator(&name);
            return Ok(());
        }
        let task = self.tasks.iter().position(|task| *task == name);
        self.terms.push(task.map_or(Term::Column(name), Term::Task));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Vec<String> {
        ["click", "purchase"].map(str::to_owned).into()
    }

    #[test]
    fn binds_as_arithmetic_does() {
        let value = |text| {
            let column = |name: &str| (name == "price").then_some(400.0);
            parse(Some(text), &tasks()).unwrap().value(&[0.5, 0.25], &column)
        };
        assert_eq!(value("purchase * price / 100"), 1.0);
        assert_eq!(value("1 + 2 * 3 - 4 / 2"), 5.0);
        assert_eq!(value("(1 + 2) * max(click, purchase)"), 1.5);
        assert!((value("min(purchase*log1p(price), 9)") - 0.25 * 401.0_f32.ln()).abs() < 1e-6);
        assert_eq!(parse(None, &tasks()).unwrap(), Objective::of_task(1));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let error = |text: &str| parse(Some(text), &tasks()).unwrap_err().to_string();
        assert!(error("purchase * ").contains("character 12: found the end"), "{}", error("purchase * "));
        assert!(error("2 $ 3").contains("character 3: found '$'"), "{}", error("2 $ 3"));
        assert!(error("sqrt(price)").contains("min, max or log1p"), "{}", error("sqrt(price)"));
        assert!(error(&"(".repeat(99)).contains("16 levels"));
        assert!(error(&vec!["1"; 99].join("+")).contains("at most 64"));
        assert!(error("1..2").contains("character 1"), "{}", error("1..2"));
    }
}
