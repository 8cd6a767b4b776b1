//! DynamoDB numbers as exact decimal text.
