//! S3 over the wire.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
async fn preconditions_that_are_not_looked_at_are_refused() {
    let account = Account::new().await;
    account.put("w", "a", "x").await.unwrap();
    let keys = r#"<Delete><Object><Key>a</Key><ETag>"other"</ETag></Object></Delete>"#;
    for (request, headers, body) in [
        ("DELETE /lake/a", vec![("if-match", "\"other\"")], ""),
        ("DELETE /lake/a", vec![("x-amz-if-match-size", "7")], ""),
        ("POST /lake?delete", vec![], keys),
        ("PUT /lake/b", vec![("x-amz-copy-source", "/lake/a"), ("x-amz-copy-source-if-match", "\"other\"")], ""),
        (
            "PUT /lake/b",
            vec![("x-amz-copy-source", "/lake/a"), ("x-amz-copy-source-if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")],
            "",
        ),
    ] {
        let reply = account.send("w", request, &headers, body).await.unwrap();
        assert_eq!(reply.status, 501, "{request} {headers:?}: {}", reply.text());
        assert!(reply.text().contains("<Code>NotImplemented</Code>"), "{}", reply.text());
    }
    assert!(account.object("a").is_some() && account.object("b").is_none());
}

#[tokio::test]
async fn a_body_beyond_all_limits_is_refused_before_it_has_come() {
    let account = Account::new().await;
    for (head, answer) in [
        ("PUT /lake/a HTTP/1.1", "<Code>EntityTooLarge</Code>"),
        ("POST / HTTP/1.1\r\nx-amz-target: Kinesis_20131202.PutRecords", r#""__type":"RequestEntityTooLarge""#),
        ("PUT /_sim/faults HTTP/1.1", "<Code>EntityTooLarge</Code>"),
    ] {
        let mut stream = TcpStream::connect(account.server.address()).await.unwrap();
        stream.write_all(format!("{head}\r\nhost: h\r\ncontent-length: 999999999999\r\n\r\n").as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.contains(answer), "{reply}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_when_it_is_too_large() {
    let account = Account::new().await;
    let (mut answers, mut requests) = TcpStream::connect(account.server.address()).await.unwrap().into_split();
    let sending = tokio::spawn(async move {
        let head =
            "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.PutRecords\r\ntransfer-encoding: chunked\r\n\r\n2000001\r\n";
        requests.write_all(head.as_bytes()).await.unwrap();
        // The server may have hung up before all of it is sent.
        let _ = requests.write_all(&vec![b' '; (32 << 20) + 1]).await;
        requests
    });
    let mut reply = [0; 12];
    answers.read_exact(&mut reply).await.unwrap();
    assert_eq!(std::str::from_utf8(&reply).unwrap(), "HTTP/1.1 413");
    drop(sending.await.unwrap());
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
