//! Updates, read from their text.

use super::super::incorrect_type;
use super::super::parser::Parser;
use super::super::path::check_distinct;
use super::{SetValue, Update};
use crate::call::ApiError;
use crate::item::AttributeValue;

const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

impl Parser<'_> {
    /// Reads a whole update.
    pub(in super::super) fn update(mut self) -> Result<Update, ApiError> {
        let mut update = Update::default();
        let mut seen = [false; SECTIONS.len()];
        loop {
            let section = (0..SECTIONS.len()).find(|section| self.take_keyword(SECTIONS[*section])).ok_or_else(|| self.syntax_error())?;
            let name = SECTIONS[section];
            if std::mem::replace(&mut seen[section], true) {
                return Err(self.invalid(format_args!("The \"{name}\" section can only be used once in an update expression;")));
            }
            loop {
                self.count_operator()?;
                let path = self.path()?;
                match section {
                    0 => {
                        self.expect("=")?;
                        let value = self.set_value()?.0;
                        update.set.push((path, value));
                    }
                    1 => update.remove.push(path),
                    2 => update.add.push((path, self.literal(name, &["N", "SS", "NS", "BS"])?)),
                    _ => update.delete.push((path, self.literal(name, &["SS", "NS", "BS"])?)),
                }
                if !self.take(",") {
                    break;
                }
            }
            if self.is_at_end() {
                check_distinct(self.which, update.paths())?;
                return Ok(update);
            }
        }
    }

    /// An operand, or the sum or difference of two. Tells also whether this was nothing but a pair of parentheses.
    fn set_value(&mut self) -> Result<(SetValue, bool), ApiError> {
        let (left, wrapped) = self.term()?;
        let operator = ["+", "-"].into_iter().find(|operator| self.take(operator));
        let Some(operator) = operator else { return Ok((left, wrapped)) };
        self.count_operator()?;
        let (right, _) = self.term()?;
        for side in [&left, &right] {
            if matches!(side, SetValue::ListAppend(..)) {
                return Err(self.invalid("The function is not allowed to be used this way in an expression; function: list_append"));
            }
            self.check_literal(operator, side, "N")?;
        }
        let (left, right) = (Box::new(left), Box::new(right));
        Ok((if operator == "+" { SetValue::Plus(left, right) } else { SetValue::Minus(left, right) }, false))
    }

    fn term(&mut self) -> Result<(SetValue, bool), ApiError> {
        if !self.take("(") {
            return Ok((self.set_operand()?, false));
        }
        self.descend()?;
        let (value, wrapped) = self.set_value()?;
        self.ascend();
        self.expect(")")?;
        if wrapped {
            return Err(self.invalid("The expression has redundant parentheses;"));
        }
        Ok((value, true))
    }

    /// A value, a path or a function.
    fn set_operand(&mut self) -> Result<SetValue, ApiError> {
        if let Some(name) = self.take_function() {
            return self.set_function(name);
        }
        Ok(match self.take_value()? {
            Some(value) => SetValue::Value(value),
            None => SetValue::Path(self.path()?),
        })
    }

    fn set_function(&mut self, name: &str) -> Result<SetValue, ApiError> {
        match name {
            "if_not_exists" | "list_append" => {}
            "attribute_exists" | "attribute_not_exists" | "attribute_type" | "begins_with" | "contains" | "size" => {
                return Err(self.invalid(format_args!("The function is not allowed in an update expression; function: {name}")));
            }
            _ => return Err(self.invalid(format_args!("Invalid function name; function: {name}"))),
        }
        self.count_operator()?;
        self.descend()?;
        let mut operands = vec![self.set_operand()?];
        while self.take(",") {
            operands.push(self.set_operand()?);
        }
        self.ascend();
        self.expect(")")?;
        let [first, second] = <[SetValue; 2]>::try_from(operands).map_err(|operands| {
            let what = "Incorrect number of operands for operator or function; operator or function";
            self.invalid(format_args!("{what}: {name}, number of operands: {}", operands.len()))
        })?;
        if name == "list_append" {
            self.check_literal(name, &first, "L")?;
            self.check_literal(name, &second, "L")?;
            return Ok(SetValue::ListAppend(Box::new(first), Box::new(second)));
        }
        match first {
            SetValue::Path(path) if second == SetValue::Path(path.clone()) => {
                let rule = "The first operand must be distinct from the remaining operands for this operator or function";
                Err(self.invalid(format_args!("{rule}; operator: {name}, first operand: {path}")))
            }
            SetValue::Path(path) => Ok(SetValue::IfNotExists(path, Box::new(second))),
            _ => Err(self.invalid(format_args!("Operator or function requires a document path; operator or function: {name}"))),
        }
    }

    fn check_literal(&self, operator: &str, value: &SetValue, kind: &str) -> Result<(), ApiError> {
        match value {
            SetValue::Value(value) if value.kind() != kind => Err(incorrect_type(self.which, operator, value.kind())),
            _ => Ok(()),
        }
    }

    /// The value that a section adds or deletes.
    fn literal(&mut self, section: &str, kinds: &[&str]) -> Result<AttributeValue, ApiError> {
        let value = self.take_value()?.ok_or_else(|| self.syntax_error())?;
        if kinds.contains(&value.kind()) {
            return Ok(value);
        }
        let kind = long_name(&value);
        let what = "Incorrect operand type for operator or function; operator";
        Err(self.invalid(format_args!("{what}: {section}, operand type: {kind}, typeSet: ALLOWED_FOR_{section}_OPERAND")))
    }
}

fn long_name(value: &AttributeValue) -> &'static str {
    match value.kind() {
        "S" => "STRING",
        "N" => "NUMBER",
        "B" => "BINARY",
        "M" => "MAP",
        "L" => "LIST",
        "BOOL" => "BOOLEAN",
        short => short,
    }
}
