//! Conditions, read from their text.

use super::super::incorrect_type;
use super::super::parser::Parser;
use super::{Comparison, Condition, Operand};
use crate::call::ApiError;
use crate::item::AttributeValue;

/// The most operands of `IN`.
const MOST_IN: usize = 100;
const TYPES: [&str; 10] = ["N", "BS", "L", "B", "NULL", "M", "S", "SS", "NS", "BOOL"];

/// A part of an expression that is a condition or an operand: only what follows a parenthesis tells.
enum Part {
    Condition(Condition),
    Operand(Operand),
}

impl Parser<'_> {
    /// Reads a whole condition.
    pub(in super::super) fn condition(mut self) -> Result<Condition, ApiError> {
        let (part, _) = self.alternatives()?;
        let condition = self.as_condition(part)?;
        self.end()?;
        Ok(condition)
    }

    /// An operand where a condition is needed lacks an operator: the next token is wrong.
    fn as_condition(&self, part: Part) -> Result<Condition, ApiError> {
        match part {
            Part::Condition(condition) => Ok(condition),
            Part::Operand(Operand::Size(_)) => Err(self.misused("size")),
            Part::Operand(_) => Err(self.syntax_error()),
        }
    }

    /// Conditions joined by OR. Tells also whether this was nothing but a pair of parentheses.
    fn alternatives(&mut self) -> Result<(Part, bool), ApiError> {
        let (mut part, mut wrapped) = self.conjunction()?;
        while self.comes_next("OR") {
            let left = Box::new(self.as_condition(part)?);
            self.take_keyword("OR");
            self.count_operator()?;
            let (right, _) = self.conjunction()?;
            part = Part::Condition(Condition::Or(left, Box::new(self.as_condition(right)?)));
            wrapped = false;
        }
        Ok((part, wrapped))
    }

    /// Conditions joined by AND.
    fn conjunction(&mut self) -> Result<(Part, bool), ApiError> {
        let (mut part, mut wrapped) = self.negation()?;
        while self.comes_next("AND") {
            let left = Box::new(self.as_condition(part)?);
            self.take_keyword("AND");
            self.count_operator()?;
            let (right, _) = self.negation()?;
            part = Part::Condition(Condition::And(left, Box::new(self.as_condition(right)?)));
            wrapped = false;
        }
        Ok((part, wrapped))
    }

    fn comes_next(&self, keyword: &str) -> bool {
        self.peek().eq_ignore_ascii_case(keyword)
    }

    fn negation(&mut self) -> Result<(Part, bool), ApiError> {
        if !self.take_keyword("NOT") {
            return self.comparison();
        }
        self.count_operator()?;
        self.descend()?;
        let (part, _) = self.negation()?;
        self.ascend();
        Ok((Part::Condition(Condition::Not(Box::new(self.as_condition(part)?))), false))
    }

    fn comparison(&mut self) -> Result<(Part, bool), ApiError> {
        let (part, wrapped) = self.part()?;
        let left = match part {
            Part::Operand(operand) => operand,
            // Only a function can be misread as an operand; a parenthesis ends the condition.
            Part::Condition(condition) if !wrapped && self.comparison_follows() => return Err(self.misused(name_of(&condition))),
            Part::Condition(_) => return Ok((part, wrapped)),
        };
        let condition = if let Some(comparison) = self.take_comparison() {
            let right = self.operand()?;
            self.compare(left, comparison, right)?
        } else if self.take_keyword("BETWEEN") {
            let low = self.operand()?;
            if !self.take_keyword("AND") {
                return Err(self.syntax_error());
            }
            let high = self.operand()?;
            self.between(left, low, high)?
        } else if self.take_keyword("IN") {
            self.expect("(")?;
            let among = self.operands()?;
            if among.len() > MOST_IN {
                let count = among.len();
                return Err(self.invalid(format_args!("The IN operator is provided with too many operands; number of operands: {count}")));
            }
            self.check_first_differs("IN", &left, &among)?;
            Condition::In(left, among)
        } else {
            return Ok((Part::Operand(left), wrapped));
        };
        self.count_operator()?;
        Ok((Part::Condition(condition), false))
    }

    /// A pair of parentheses, a function, a path or a value.
    fn part(&mut self) -> Result<(Part, bool), ApiError> {
        if self.take("(") {
            self.descend()?;
            let (part, wrapped) = self.alternatives()?;
            self.ascend();
            self.expect(")")?;
            if wrapped {
                return Err(self.invalid("The expression has redundant parentheses;"));
            }
            return Ok((part, true));
        }
        let part = match self.take_function() {
            Some(name) => self.function(name)?,
            None => Part::Operand(self.path_or_value()?),
        };
        Ok((part, false))
    }

    fn operand(&mut self) -> Result<Operand, ApiError> {
        match self.part()?.0 {
            Part::Operand(operand) => Ok(operand),
            Part::Condition(condition) => Err(self.misused(name_of(&condition))),
        }
    }

    fn path_or_value(&mut self) -> Result<Operand, ApiError> {
        Ok(match self.take_value()? {
            Some(value) => Operand::Value(value),
            None => Operand::Path(self.path()?),
        })
    }

    /// Operands up to the closing parenthesis.
    fn operands(&mut self) -> Result<Vec<Operand>, ApiError> {
        self.descend()?;
        let mut operands = vec![self.operand()?];
        while self.take(",") {
            operands.push(self.operand()?);
        }
        self.ascend();
        self.expect(")")?;
        Ok(operands)
    }

    fn function(&mut self, name: &str) -> Result<Part, ApiError> {
        let count = match name {
            "attribute_exists" | "attribute_not_exists" | "size" => 1,
            "attribute_type" | "begins_with" | "contains" => 2,
            "if_not_exists" | "list_append" => {
                return Err(self.invalid(format_args!("The function is not allowed in a condition expression; function: {name}")));
            }
            _ => return Err(self.invalid(format_args!("Invalid function name; function: {name}"))),
        };
        self.count_operator()?;
        let mut operands = self.operands()?;
        let last = operands.pop().filter(|_| operands.len() + 1 == count);
        let Some(last) = last else {
            let given = operands.len() + 1;
            let what = "Incorrect number of operands for operator or function; operator or function";
            return Err(self.invalid(format_args!("{what}: {name}, number of operands: {given}")));
        };
        let Some(first) = operands.pop() else { return self.function_of_one(name, last) };
        self.check_first_differs(name, &first, std::slice::from_ref(&last))?;
        Ok(Part::Condition(match name {
            "attribute_type" => Condition::IsType(first, self.type_name(last)?),
            "begins_with" => {
                self.check_types(name, [&first, &last], &["S", "B"])?;
                Condition::BeginsWith(first, last)
            }
            _ => Condition::Contains(first, last),
        }))
    }

    fn function_of_one(&self, name: &str, operand: Operand) -> Result<Part, ApiError> {
        if name == "size" {
            self.check_types(name, [&operand], &["S", "B", "SS", "NS", "BS", "M", "L"])?;
            return Ok(Part::Operand(Operand::Size(Box::new(operand))));
        }
        let Operand::Path(path) = operand else {
            return Err(self.invalid(format_args!("Operator or function requires a document path; operator or function: {name}")));
        };
        let exists = Condition::Exists(path);
        Ok(Part::Condition(if name == "attribute_exists" { exists } else { Condition::Not(Box::new(exists)) }))
    }

    fn type_name(&self, operand: Operand) -> Result<String, ApiError> {
        match operand {
            Operand::Value(AttributeValue::S(name)) if TYPES.contains(&&*name) => Ok(name),
            Operand::Value(AttributeValue::S(name)) => {
                let types = TYPES.join(",");
                Err(self.invalid(format_args!("Invalid attribute type name found; type: {name}, valid types: {{{types}}}")))
            }
            other => Err(incorrect_type(self.which, "attribute_type", type_of(&other).unwrap_or("{any}"))),
        }
    }

    fn compare(&self, left: Operand, comparison: Comparison, right: Operand) -> Result<Condition, ApiError> {
        self.check_first_differs(comparison.symbol(), &left, std::slice::from_ref(&right))?;
        if !matches!(comparison, Comparison::Equal | Comparison::Unequal) {
            self.check_types(comparison.symbol(), [&left, &right], &["N", "S", "B"])?;
        }
        Ok(Condition::Compare(left, comparison, right))
    }

    fn between(&self, operand: Operand, low: Operand, high: Operand) -> Result<Condition, ApiError> {
        let bounds = [low, high];
        self.check_first_differs("BETWEEN", &operand, &bounds)?;
        self.check_types("BETWEEN", [&operand, &bounds[0], &bounds[1]], &["N", "S", "B"])?;
        if let [Operand::Value(low), Operand::Value(high)] = &bounds {
            let rule = match low.order(high) {
                None => "same data type for lower and upper bounds",
                Some(order) if order.is_gt() => "upper bound to be greater than or equal to lower bound",
                Some(_) => "",
            };
            if !rule.is_empty() {
                let [low, high] = [low, high].map(shown);
                let bounds = format!("lower bound operand: AttributeValue: {low}, upper bound operand: AttributeValue: {high}");
                return Err(self.invalid(format_args!("The BETWEEN operator requires {rule}; {bounds}")));
            }
        }
        let [low, high] = bounds;
        Ok(Condition::Between(operand, low, high))
    }

    /// Refuses values of the request that an operator does not take. Those of the item are known only when it is looked at.
    fn check_types<'b>(&self, operator: &str, operands: impl IntoIterator<Item = &'b Operand>, types: &[&str]) -> Result<(), ApiError> {
        match operands.into_iter().filter_map(type_of).find(|kind| !types.contains(kind)) {
            Some(kind) => Err(incorrect_type(self.which, operator, kind)),
            None => Ok(()),
        }
    }

    fn check_first_differs(&self, operator: &str, first: &Operand, others: &[Operand]) -> Result<(), ApiError> {
        let Operand::Path(path) = first else { return Ok(()) };
        if !others.contains(first) {
            return Ok(());
        }
        let rule = "The first operand must be distinct from the remaining operands for this operator or function";
        Err(self.invalid(format_args!("{rule}; operator: {operator}, first operand: {path}")))
    }

    fn take_comparison(&mut self) -> Option<Comparison> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Unequal};
        [Equal, Unequal, Less, LessOrEqual, Greater, GreaterOrEqual].into_iter().find(|comparison| self.take(comparison.symbol()))
    }

    fn comparison_follows(&self) -> bool {
        matches!(self.peek(), "=" | "<>" | "<" | "<=" | ">" | ">=") || self.comes_next("BETWEEN") || self.comes_next("IN")
    }

    fn misused(&self, function: &str) -> ApiError {
        self.invalid(format_args!("The function is not allowed to be used this way in an expression; function: {function}"))
    }
}

/// The type of an operand that is known from the request alone.
fn type_of(operand: &Operand) -> Option<&'static str> {
    match operand {
        Operand::Path(_) => None,
        Operand::Value(value) => Some(value.kind()),
        Operand::Size(_) => Some("N"),
    }
}

/// The function that a condition was read from.
fn name_of(condition: &Condition) -> &'static str {
    match condition {
        Condition::Exists(_) => "attribute_exists",
        Condition::Not(_) => "attribute_not_exists",
        Condition::IsType(..) => "attribute_type",
        Condition::BeginsWith(..) => "begins_with",
        Condition::Contains(..) => "contains",
        Condition::Compare(..) | Condition::Between(..) | Condition::In(..) | Condition::And(..) | Condition::Or(..) => "condition",
    }
}

fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) | AttributeValue::B(text) => format!("{{{}:{text}}}", value.kind()),
        other => format!("{{{}}}", other.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Placeholders;

    fn error(text: &str) -> String {
        let values = r#"{":n":{"N":"5"},":m":{"N":"4"},":s":{"S":"a"},":bool":{"BOOL":true},":ss":{"SS":["a"]}}"#;
        let mut placeholders = Placeholders::new(None, Some(serde_json::from_str(values).unwrap()), true).unwrap();
        let error = placeholders.condition(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert_eq!(error.code, "ValidationException");
        error.message.replace("Invalid ConditionExpression: ", "")
    }

    #[test]
    fn syntax_errors_name_token_and_place() {
        for (text, token, near) in [
            ("n = :n AND", "<EOF>", "AND"),
            ("(n = :n", "<EOF>", ":n"),
            ("n = :n)", ")", ":n)"),
            ("n == :n", "=", "== :n"),
            ("n IN ()", ")", "()"),
            ("n IN :n", ":n", "IN :n"),
            ("(n = :n) = :n", "=", ") = :n"),
            ("n = 5", "5", "= 5"),
            ("n = :n extra", "extra", ":n extra"),
            ("n AND n", "AND", "n AND n"),
            ("NOT n", "<EOF>", "n"),
            ("n < > :n", ">", "< > :n"),
            ("n BETWEEN :n", "<EOF>", ":n"),
            ("n NOT IN (:n)", "NOT", "n NOT IN"),
        ] {
            assert_eq!(error(text), format!("Syntax error; token: \"{token}\", near: \"{near}\""), "{text}");
        }
    }

    #[test]
    fn functions_are_known_and_used_as_they_are_meant() {
        for (text, what) in [
            ("foo(n)", "Invalid function name; function: foo"),
            ("SIZE(n) = :n", "Invalid function name; function: SIZE"),
            ("size(n)", "The function is not allowed to be used this way in an expression; function: size"),
            ("attribute_exists(n) = :n", "The function is not allowed to be used this way in an expression; function: attribute_exists"),
            ("if_not_exists(n, :n) = :n", "The function is not allowed in a condition expression; function: if_not_exists"),
            ("attribute_exists(:n)", "Operator or function requires a document path; operator or function: attribute_exists"),
            ("attribute_exists(size(n))", "Operator or function requires a document path; operator or function: attribute_exists"),
            (
                "begins_with(n)",
                "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
            ),
            (
                "attribute_exists(n, n)",
                "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
            ),
        ] {
            assert_eq!(error(text), what, "{text}");
        }
    }

    #[test]
    fn values_of_the_wrong_type_are_refused_before_an_item_is_looked_at() {
        for (text, operator, kind) in [
            ("n < :bool", "<", "BOOL"),
            (":bool < n", "<", "BOOL"),
            ("n >= :ss", ">=", "SS"),
            ("n BETWEEN :bool AND :bool", "BETWEEN", "BOOL"),
            ("begins_with(n, :n)", "begins_with", "N"),
            ("attribute_type(n, :n)", "attribute_type", "N"),
            ("size(size(n)) = :n", "size", "N"),
            ("size(:n) = :n", "size", "N"),
        ] {
            let what = "Incorrect operand type for operator or function; operator or function";
            assert_eq!(error(text), format!("{what}: {operator}, operand type: {kind}"), "{text}");
        }
        let types = "valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}";
        assert_eq!(error("attribute_type(n, :s)"), format!("Invalid attribute type name found; type: a, {types}"));
        let bounds = "lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue";
        let rule = "The BETWEEN operator requires";
        assert_eq!(error("n BETWEEN :n AND :s"), format!("{rule} same data type for lower and upper bounds; {bounds}: {{S:a}}"));
        assert_eq!(
            error("n BETWEEN :n AND :m"),
            format!("{rule} upper bound to be greater than or equal to lower bound; {bounds}: {{N:4}}")
        );
    }

    #[test]
    fn an_expression_is_neither_idle_nor_endless() {
        let distinct = "The first operand must be distinct from the remaining operands for this operator or function";
        for (text, operator) in [("n = n", "="), ("contains(n, n)", "contains"), ("n IN (:n, n)", "IN"), ("n BETWEEN n AND :n", "BETWEEN")]
        {
            assert_eq!(error(text), format!("{distinct}; operator: {operator}, first operand: [n]"), "{text}");
        }
        for text in ["((n = :n))", "a = :n OR (((c = :n)))", "NOT ((n)) = :n"] {
            assert_eq!(error(text), "The expression has redundant parentheses;", "{text}");
        }
        assert_eq!(error(&["n = :n"; 302].join(" OR ")), "The expression contains too many operators; operator count: 301");
        assert_eq!(error(&"(".repeat(4000)), "The expression is nested too deeply");
        assert_eq!(error(&format!("{}n", "NOT ".repeat(1000))), "The expression is nested too deeply");
        let many = format!("n IN ({})", [":n"; 101].join(","));
        assert_eq!(error(&many), "The IN operator is provided with too many operands; number of operands: 101");
    }
}
