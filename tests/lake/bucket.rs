//! Making the bucket of a lake.

use headwater::lake::{LakeBucket, Problem};
use tokio_util::sync::CancellationToken;

use super::s3;

#[tokio::test]
async fn a_missing_bucket_is_created_and_then_found() {
    let root = tempfile::tempdir().unwrap();
    let bucket = LakeBucket::connect("sales-lake", &s3::settings(s3::serve(root.path()).await)).unwrap();
    assert!(!bucket.exists().await.unwrap());
    bucket.create(&CancellationToken::new()).await.unwrap();
    assert!(bucket.exists().await.unwrap());
    assert!(root.path().join("sales-lake").is_dir(), "the bucket has another name");
}

#[tokio::test]
async fn a_bucket_that_hides_from_us_is_not_taken_for_a_missing_one() {
    for (status, code, problem) in [
        (403, "AccessDenied", Problem::NotOurs),
        (403, "InvalidAccessKeyId", Problem::Credentials),
        (301, "PermanentRedirect", Problem::WrongRegion),
    ] {
        let bucket = LakeBucket::connect("sales-lake", &s3::settings(s3::refuse(status, code).await)).unwrap();
        let error = bucket.exists().await.unwrap_err();
        assert_eq!(error.problem, problem, "{error:?}");
        assert_eq!(error.doing, "look for bucket sales-lake");
    }
}

#[tokio::test]
async fn a_refusal_to_create_a_bucket_says_what_is_wrong() {
    let create = async |status, code| {
        let bucket = LakeBucket::connect("sales-lake", &s3::settings(s3::refuse(status, code).await)).unwrap();
        bucket.create(&CancellationToken::new()).await
    };
    create(409, "BucketAlreadyOwnedByYou").await.unwrap();
    for (status, code, problem) in [(409, "BucketAlreadyExists", Problem::NotOurs), (403, "AccessDenied", Problem::MayNotCreate)] {
        let error = create(status, code).await.unwrap_err();
        assert_eq!(error.problem, problem, "{error:?}");
        assert_eq!(error.doing, "create bucket sales-lake in eu-west-1");
    }
}

#[tokio::test]
async fn a_stranger_s_request_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let address = s3::serve(root.path()).await;
    let bucket = LakeBucket::connect("sales-lake", &s3::settings_with(address, "wrong")).unwrap();
    let error = bucket.create(&CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.problem, Problem::Credentials, "{error:?}");
    assert!(!root.path().join("sales-lake").exists());
}
