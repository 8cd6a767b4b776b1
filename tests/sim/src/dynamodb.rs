//! TEMPORARY
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::{AttributeValue, Item};
use crate::journal::{Change, Event, Journal};
use crate::streams::{NewRecord, Streams, ViewType};
use serde_json::{Value, json};
use std::collections::BTreeMap;
#[derive(Debug)]
struct T {
    keys: Value,
    defs: Value,
    items: BTreeMap<String, Item>,
    stream: Option<String>,
    had: bool,
    last: Option<String>,
}
#[derive(Debug, Default)]
pub struct Tables {
    pub partitions: usize,
    t: BTreeMap<String, T>,
}
fn kn(k: &Value) -> Vec<String> {
    k.as_array().unwrap().iter().map(|e| e["AttributeName"].as_str().unwrap().to_owned()).collect()
}
impl Tables {
    pub fn items(&self, t: &str) -> Option<impl Iterator<Item = &Item>> {
        self.t.get(t).map(|t| t.items.values())
    }
    fn write(&mut self, streams: &mut Streams, table: &str, key: Item, new: Option<Item>, now: i64, w: &str, j: &Journal, ttl: bool) {
        let t = self.t.get_mut(table).unwrap();
        let ks = serde_json::to_string(&key).unwrap();
        let old = t.items.get(&ks).cloned();
        if old == new {
            return;
        }
        match &new {
            Some(n) => {
                t.items.insert(ks, n.clone());
            }
            None => {
                t.items.remove(&ks);
            }
        }
        if !t.had {
            j.record(now, w, Event::Item { table: table.into(), key, old, new });
            return;
        }
        let h = serde_json::to_string(&key[&kn(&t.keys)[0]])
            .unwrap()
            .bytes()
            .fold(14695981039346656037u64, |a, b| (a ^ u64::from(b)).wrapping_mul(1099511628211))
            .wrapping_mul(0x9E3779B97F4A7C15);
        let rec = NewRecord { key: &key, hash: h, old: old.as_ref(), new: new.as_ref(), by_ttl: ttl };
        let op = rec.operation().unwrap();
        let place = t.stream.clone().and_then(|s| streams.append(&s, &rec, now));
        j.record(now, w, Event::Change(Change { table: table.into(), place, operation: op, key, old, new, by_ttl: ttl }));
    }
    fn key(&self, table: &str, item: &Item) -> Item {
        kn(&self.t[table].keys)
            .into_iter()
            .map(|n| {
                let v = item[&n].clone();
                (n, v)
            })
            .collect()
    }
    pub fn put(&mut self, s: &mut Streams, table: &str, item: Item, now: i64, j: &Journal) -> Result<(), ApiError> {
        let k = self.key(table, &item);
        self.write(s, table, k, Some(item), now, "", j, false);
        Ok(())
    }
    pub fn delete(&mut self, s: &mut Streams, table: &str, key: &Item, now: i64, j: &Journal) -> Result<(), ApiError> {
        self.write(s, table, key.clone(), None, now, "", j, false);
        Ok(())
    }
    pub fn expire_items(&mut self, s: &mut Streams, now: i64, j: &Journal) -> usize {
        let mut n = 0;
        for t in self.t.keys().cloned().collect::<Vec<_>>() {
            if !self.t[&t].had {
                continue;
            }
            let dead: Vec<Item> = self.t[&t]
                .items
                .values()
                .filter(|i| matches!(i.get("expires"),Some(AttributeValue::N(x)) if x.parse::<i64>().is_ok_and(|x|x<now/1000)))
                .cloned()
                .collect();
            for i in dead {
                let k = self.key(&t, &i);
                self.write(s, &t, k, None, now, "", j, true);
                n += 1
            }
        }
        n
    }
    pub fn call(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let b: Value = call.input()?;
        let name = b["TableName"].as_str().unwrap_or("").to_owned();
        if call.operation != "CreateTable" && !self.t.contains_key(&name) {
            return Err(ApiError::not_found("no table"));
        }
        let item = |v: &Value| -> Item { serde_json::from_value(v.clone()).unwrap() };
        match call.operation {
            "CreateTable" => {
                if self.t.contains_key(&name) {
                    return Err(ApiError::new("ResourceInUseException", "exists"));
                }
                let mut t = T {
                    keys: b["KeySchema"].clone(),
                    defs: b["AttributeDefinitions"].clone(),
                    items: BTreeMap::new(),
                    stream: None,
                    had: false,
                    last: None,
                };
                if b["StreamSpecification"]["StreamEnabled"] == json!(true) {
                    let a = streams.enable(&name, &t.keys, ViewType::NewAndOldImages, self.partitions.max(1), call.now, call.journal);
                    t.stream = Some(a.clone());
                    t.last = Some(a);
                    t.had = true
                }
                self.t.insert(name.clone(), t);
                self.desc(&name, "TableDescription")
            }
            "UpdateTable" => {
                let p = self.partitions.max(1);
                let t = self.t.get_mut(&name).unwrap();
                if b["StreamSpecification"]["StreamEnabled"] == json!(true) {
                    let a = streams.enable(&name, &t.keys, ViewType::NewAndOldImages, p, call.now, call.journal);
                    t.stream = Some(a.clone());
                    t.last = Some(a)
                } else if let Some(s) = t.stream.take() {
                    streams.disable(&s, call.now, call.journal)
                }
                self.desc(&name, "TableDescription")
            }
            "UpdateTimeToLive" => answer(&json!({})),
            "DescribeTable" => self.desc(&name, "Table"),
            "Scan" => answer(&json!({"Items":self.t[&name].items.values().collect::<Vec<_>>(),"Count":self.t[&name].items.len()})),
            "GetItem" => {
                let k = serde_json::to_string(&item(&b["Key"])).unwrap();
                match self.t[&name].items.get(&k) {
                    Some(i) => answer(&json!({"Item":i})),
                    None => answer(&json!({})),
                }
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let key = if call.operation == "PutItem" { self.key(&name, &item(&b["Item"])) } else { item(&b["Key"]) };
                let old = self.t[&name].items.get(&serde_json::to_string(&key).unwrap()).cloned();
                let vals: Item = serde_json::from_value(b["ExpressionAttributeValues"].clone()).unwrap_or_default();
                if let Some(c) = b["ConditionExpression"].as_str() {
                    let mut ok = !call.quirks.condition_fails;
                    for part in c.split(" AND ") {
                        let part = part.trim();
                        if let Some(n) = part.strip_prefix("attribute_not_exists(") {
                            ok &= old.as_ref().is_none_or(|o| !o.contains_key(n.trim_end_matches(')')))
                        } else {
                            let (l, r) = part.split_once(" = ").unwrap();
                            ok &= old.as_ref().and_then(|o| o.get(l)) == vals.get(r)
                        }
                    }
                    if !ok {
                        call.record(Event::ConditionFailed { table: name, key });
                        return Err(ApiError::new("ConditionalCheckFailedException", "The conditional request failed"));
                    }
                }
                let new = match call.operation {
                    "PutItem" => Some(item(&b["Item"])),
                    "DeleteItem" => None,
                    _ => {
                        let mut new = old.unwrap_or_else(|| key.clone());
                        let e = b["UpdateExpression"].as_str().unwrap();
                        let mut mode = "";
                        let e2 = e.replace(',', "");
                        let toks = e2.split(' ').collect::<Vec<_>>();
                        for tok in toks.chunk_by(|_, b| !["SET", "REMOVE", "ADD"].contains(b)) {
                            mode = tok[0];
                            let r = &tok[1..];
                            match mode {
                                "SET" => {
                                    for c in r.chunks(3) {
                                        new.insert(c[0].into(), vals[c[2]].clone());
                                    }
                                }
                                "REMOVE" => {
                                    for c in r {
                                        new.remove(*c);
                                    }
                                }
                                _ => {
                                    for c in r.chunks(2) {
                                        let AttributeValue::N(d) = &vals[c[1]] else { panic!() };
                                        let cur = match new.get(c[0]) {
                                            Some(AttributeValue::N(n)) => n.parse::<i64>().unwrap(),
                                            _ => 0,
                                        };
                                        new.insert(c[0].into(), AttributeValue::N((cur + d.parse::<i64>().unwrap()).to_string()));
                                    }
                                }
                            }
                        }
                        let _ = mode;
                        Some(new)
                    }
                };
                self.write(streams, &name, key, new, call.now, call.worker, call.journal, false);
                answer(&json!({}))
            }
            _ => Err(ApiError::new("UnknownOperationException", call.operation)),
        }
    }
    fn desc(&self, n: &str, w: &str) -> Answer {
        let t = &self.t[n];
        let mut d = json!({"TableName":n,"TableStatus":"ACTIVE","KeySchema":t.keys,"AttributeDefinitions":t.defs,"TableArn":"a","ItemCount":0,"TableSizeBytes":0});
        if let Some(l) = &t.last {
            d["LatestStreamArn"] = json!(l);
        }
        if t.stream.is_some() {
            d["StreamSpecification"] = json!({"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"});
        }
        answer(&json!({w:d}))
    }
}
