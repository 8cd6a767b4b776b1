//! S3 over the wire.

use super::*;

#[tokio::test]
async fn of_all_that_create_an_object_if_absent_one_wins() {
    let account = Arc::new(Account::new().await);
    let racers = (0..8).map(|racer| {
        let account = account.clone();
        tokio::spawn(async move {
            let body = format!("racer {racer}");
            let reply = account.send("w", "PUT /lake/a", &[("if-none-match", "*")], body.clone()).await.unwrap();
            (reply.status, body)
        })
    });
    let results = futures::future::join_all(racers).await.into_iter().map(Result::unwrap);
    let (won, lost): (Vec<_>, Vec<_>) = results.partition(|(status, _)| *status == 200);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|(status, _)| *status == 412));
    assert_eq!(account.object("a").unwrap(), won[0].1);
}

#[tokio::test]
async fn an_upload_in_signed_chunks_is_stored_as_what_was_meant() {
    let account = Account::new().await;
    let headers = [
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "6"),
        ("content-type", "text/plain"),
        ("x-amz-meta-shard", "7"),
    ];
    let body = "5;chunk-signature=00\r\nhello\r\n1;chunk-signature=00\r\n!\r\n0;chunk-signature=00\r\n\r\n";
    let reply = account.send("w", "PUT /lake/a", &headers, body).await.unwrap();
    assert_eq!((reply.status, reply.header("etag")), (200, "\"5a8dd3ad0756a93ded72b823b19dd877\""));
    let reply = account.send("w", "GET /lake/a", &[], "").await.unwrap();
    assert_eq!((reply.text(), reply.header("content-type"), reply.header("x-amz-meta-shard")), ("hello!", "text/plain", "7"));
    assert_eq!(reply.header("content-encoding"), "", "the coding was of the transfer");
}

#[tokio::test]
async fn a_range_may_begin_or_be_counted_from_the_end() {
    let account = Account::new().await;
    account.put("w", "a", "0123456789").await.unwrap();
    for (range, body, shown) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let reply = account.send("w", "GET /lake/a", &[("range", range)], "").await.unwrap();
        assert_eq!((reply.status, reply.text(), reply.header("content-range")), (206, body, shown));
    }
    let reply = account.send("w", "GET /lake/a", &[("range", "bytes=10-")], "").await.unwrap();
    assert_eq!(reply.status, 416);
}

#[tokio::test]
async fn an_object_is_described_without_its_body() {
    let account = Account::new().await;
    account.put("w", "a", "0123456789").await.unwrap();
    let reply = account.send("w", "HEAD /lake/a", &[], "").await.unwrap();
    assert_eq!((reply.status, reply.header("content-length"), reply.text()), (200, "10", ""));
    assert_eq!(reply.header("last-modified"), "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(account.send("w", "HEAD /lake/b", &[], "").await.unwrap().status, 404);
    let etag = reply.header("etag").to_owned();
    assert_eq!(account.send("w", "GET /lake/a", &[("if-none-match", &etag)], "").await.unwrap().status, 304);
    assert_eq!(account.send("w", "GET /lake/a", &[("if-match", "\"other\"")], "").await.unwrap().status, 412);
}

#[tokio::test]
async fn a_listing_goes_on_where_its_token_says() {
    let account = Account::new().await;
    for key in ["a%20b", "d/1", "d/2", "z"] {
        account.put("w", key, "").await.unwrap();
    }
    let uri = "GET /lake?list-type=2&delimiter=%2F&max-keys=2&encoding-type=url";
    let first = account.send("w", uri, &[], "").await.unwrap();
    assert!(first.text().contains("<Key>a%20b</Key>"), "{}", first.text());
    assert!(first.text().contains("<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"));
    assert!(first.text().contains("<IsTruncated>true</IsTruncated>"));
    let token = first.text().split("NextContinuationToken>").nth(1).unwrap().trim_end_matches("</");
    let next = account.send("w", &format!("{uri}&continuation-token={token}"), &[], "").await.unwrap();
    assert!(next.text().contains("<Key>z</Key>") && !next.text().contains("<Prefix>d/"), "{}", next.text());
    assert!(next.text().contains("<IsTruncated>false</IsTruncated>"));
    assert_eq!(account.send("w", "GET /none?list-type=2", &[], "").await.unwrap().status, 404);
}

#[tokio::test]
async fn an_upload_in_parts_becomes_an_object_once() {
    let account = Account::new().await;
    let begun = account.send("w", "POST /lake/a?uploads", &[("content-type", "x/y")], "").await.unwrap();
    let id = begun.text().split("UploadId>").nth(1).unwrap().trim_end_matches("</").to_owned();
    let mut parts = Vec::new();
    for (number, part) in [(1, vec![b'x'; 5 << 20]), (2, b"end".to_vec())] {
        let reply = account.send("w", &format!("PUT /lake/a?partNumber={number}&uploadId={id}"), &[], part).await.unwrap();
        let etag = reply.header("etag");
        parts.push(format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let complete = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat());
    let request = format!("POST /lake/a?uploadId={id}");
    account.put("w", "a", "first").await.unwrap();
    let lost = account.send("w", &request, &[("if-none-match", "*")], complete.clone()).await.unwrap();
    assert_eq!((lost.status, account.object("a").unwrap().len()), (412, 5));
    account.send("w", "DELETE /lake/a", &[], "").await.unwrap();
    let won = account.send("w", &request, &[("if-none-match", "*")], complete.clone()).await.unwrap();
    assert_eq!((won.status, account.object("a").unwrap().len()), (200, (5 << 20) + 3));
    assert_eq!(account.send("w", &request, &[], complete).await.unwrap().status, 404);
    assert_eq!(account.writers(), ["w creates a (5 bytes)", "w deletes a", "w creates a (5242883 bytes)"]);
}

#[tokio::test]
async fn buckets_are_created_and_objects_copied_and_deleted() {
    let account = Account::new().await;
    assert_eq!(account.send("w", "HEAD /other", &[], "").await.unwrap().status, 404);
    assert_eq!(account.send("w", "PUT /other", &[], "").await.unwrap().status, 200);
    assert_eq!(account.send("w", "HEAD /other", &[], "").await.unwrap().status, 200);
    let listed = account.send("w", "GET /", &[], "").await.unwrap();
    assert!(listed.text().contains("<Name>lake</Name>") && listed.text().contains("<CreationDate>2026-01-01"), "{}", listed.text());
    account.put("w", "a", "x").await.unwrap();
    let copy = [("x-amz-copy-source", "/lake/a"), ("if-none-match", "*")];
    assert_eq!(account.send("w", "PUT /lake/b", &copy, "").await.unwrap().status, 200);
    assert_eq!(account.send("w", "PUT /lake/b", &copy, "").await.unwrap().status, 412);
    let keys = "<Delete><Object><Key>a</Key></Object><Object><Key>gone</Key></Object></Delete>";
    let reply = account.send("w", "POST /lake?delete", &[], keys).await.unwrap();
    assert_eq!((reply.status, account.object("a"), account.object("b").unwrap()), (200, None, Bytes::from_static(b"x")));
    assert_eq!(account.send("w", "DELETE /lake/b", &[], "").await.unwrap().status, 204);
    assert_eq!(account.put("w", "../x", "x").await.unwrap().status, 200, "a key is no path");
}
