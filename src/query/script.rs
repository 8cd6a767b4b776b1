//! Scripts of several statements: views that a session defines for itself, and the query that is behind them.

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::{DFParser, Statement};

use super::{QueryError, Session};

/// SQL text, and what errors call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Such as the file's path.
    pub name: String,
    /// Any number of statements.
    pub sql: String,
}

/// A statement, and what errors call it.
struct Place<'s> {
    script: &'s Script,
    /// Counted from 1.
    number: usize,
    /// How many the script has.
    of: usize,
}

impl Place<'_> {
    fn name(&self) -> String {
        if self.of == 1 { self.script.name.clone() } else { format!("statement {} of {}", self.number, self.script.name) }
    }
}

impl Session {
    /// Runs scripts, one after the other. Their statements define views (`CREATE VIEW`, `CREATE OR REPLACE VIEW`), which live as long as the session and
    /// may take the place of its own; the last statement is a query, whose rows are handed out as they come.
    ///
    /// Nothing is run unless all of it can be parsed. Whatever else a statement would do is refused.
    pub async fn run(&self, scripts: &[Script]) -> Result<SendableRecordBatchStream, QueryError> {
        let mut statements = Vec::new();
        for script in scripts {
            let parsed = DFParser::parse_sql(&script.sql).map_err(|source| plan(script.name.clone(), source))?;
            let of = parsed.len();
            statements.extend((1..).zip(parsed).map(|(number, statement)| (Place { script, number, of }, statement)));
        }
        let Some((place, query)) = statements.pop() else { return Err(QueryError::NoQuery { last: None }) };
        for (place, statement) in statements {
            self.define(&place, statement).await?;
        }
        let last = self.plan(&place, query).await?;
        if is_view(&last) {
            return Err(QueryError::NoQuery { last: Some(place.name()) });
        }
        read_only().verify_plan(&last).map_err(|source| plan(place.name(), source))?;
        let frame = self.context.execute_logical_plan(last).await.map_err(|source| plan(place.name(), source))?;
        frame.execute_stream().await.map_err(QueryError::Run)
    }

    /// Defines a view.
    async fn define(&self, place: &Place<'_>, statement: Statement) -> Result<(), QueryError> {
        let view = self.plan(place, statement).await?;
        let LogicalPlan::Ddl(DdlStatement::CreateView(definition)) = &view else {
            return Err(QueryError::NoView { place: place.name() });
        };
        read_only().verify_plan(&definition.input).map_err(|source| plan(place.name(), source))?;
        self.context.execute_logical_plan(view).await.map_err(|source| plan(place.name(), source))?;
        Ok(())
    }

    async fn plan(&self, place: &Place<'_>, statement: Statement) -> Result<LogicalPlan, QueryError> {
        self.context.state().statement_to_plan(statement).await.map_err(|source| plan(place.name(), source))
    }
}

/// What a query may do: read. A session's settings stay as they are too, since times and numbers are read by them.
pub(super) fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

fn is_view(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Ddl(DdlStatement::CreateView(_)))
}

fn plan(place: String, source: DataFusionError) -> QueryError {
    QueryError::Statement { place, source }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn a_query_reads_and_changes_neither_settings_nor_tables() {
        let context = SessionContext::new();
        for (sql, expected) in [
            ("SET datafusion.execution.time_zone = 'Asia/Tokyo'", "Statement not supported"),
            ("CREATE TABLE t AS SELECT 1", "DDL not supported"),
            ("COPY (SELECT 1) TO 'file.csv'", "DML not supported"),
        ] {
            let error = context.sql_with_options(sql, read_only()).await.map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(expected), "{sql}: {error}");
        }
        assert!(context.sql_with_options("SELECT 1", read_only()).await.is_ok());
    }
}
