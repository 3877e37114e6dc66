//! Who may do what.

use super::*;

#[test]
fn a_token_of_some_namespaces_updates_no_assets() {
    testing::on_sqlite(async |db| {
        own_tables::migrate(db).await.unwrap();
        let mut tokens = Vec::new();
        for namespaces in ["sandbox", "*"] {
            let (to, now) = (Match::list(namespaces), chrono::Utc::now());
            tokens.push(tokens::add(db, namespaces, &to, &[Right::Send], None, now).await.unwrap());
        }
        let server = Server::start(db, &[]).await;
        let update = json!({"type": "t", "namespace": "sandbox", "asseturi": "s3://orders"}).to_string();
        for (token, status, why) in
            [(&tokens[0], 403, "may not update assets"), (&tokens[1], 404, "`s3://orders`")]
        {
            let bearer = format!("Bearer {token}");
            let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
            let (found, answer) = server.call(Method::POST, "/events", &headers, &update).await;
            assert!(found == status && answer.to_string().contains(why), "{found} {answer}");
        }
    });
}

#[test]
fn a_stream_ends_when_its_token_is_removed() {
    testing::on_sqlite(async |db| {
        own_tables::migrate(db).await.unwrap();
        let (all, now) = (Match::list("*"), chrono::Utc::now());
        let token = tokens::add(db, "reader", &all, &[Right::Read], None, now).await.unwrap();
        let server = Server::start(db, &[]).await;
        let bearer = format!("authorization: Bearer {token}\r\n");
        let mut stream = Stream::open_with(&server, "/events/stream?after=0", &bearer).await;
        server.send(&event("1")).await;
        assert_eq!(stream.next().await, (1, "1".to_owned()));
        tokens::remove(db, "reader").await.unwrap();
        // Known within a second.
        for id in 2.. {
            server.send(&event(&id.to_string())).await;
            if stream.next_if_any().await.is_none() {
                break;
            }
        }
    });
}

#[test]
fn without_a_token_only_this_machine_is_answered() {
    testing::on_sqlite(async |db| {
        let server = Server::start(db, &[]).await;
        let ask = async |peer: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/events");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = crate::events::http::router(server.service.clone(), engine(&server.service.db));
            let answer = tower_service::Service::call(&mut router, request).await.unwrap();
            let challenged = answer.headers().contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(challenged, answer.status() == StatusCode::UNAUTHORIZED);
            answer.status().as_u16()
        };
        assert_eq!(ask("127.0.0.1:9", &[]).await, 200);
        assert_eq!(ask("10.1.2.3:9", &[]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("x-forwarded-for", "10.1.2.3")]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("origin", "https://evil.example")]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("host", "evil.example")]).await, 401);
        assert_eq!(ask("127.0.0.1:9", &[("authorization", "Bearer slipstream_wrong")]).await, 401);
        let all = Match::list("*");
        let token = tokens::add(db, "all", &all, &[Right::Read], None, chrono::Utc::now()).await.unwrap();
        // The server may have asked for the tokens just before.
        let fresh = Server::start(db, &[("events_without_token", "nobody")]).await;
        let bearer = format!("Bearer {token}");
        let call = async |headers: &[(&str, &str)]| fresh.call(Method::GET, "/events", headers, "").await.0;
        assert_eq!(call(&[("authorization", &bearer)]).await, StatusCode::OK);
        assert_eq!(call(&[]).await, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn a_token_is_good_for_its_namespaces_and_rights_only() {
    testing::on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let ml = Match::list("ml.*");
        let now = chrono::Utc::now();
        let sends = tokens::add(db, "sends", &ml, &[Right::Send], None, now).await.unwrap();
        let reads = tokens::add(db, "reads", &ml, &[Right::Read], None, now).await.unwrap();
        let server = Server::start(db, &[]).await;
        let kind = ("content-type", "application/json");
        let call = async |token: &str, method, path: &str, body: Value| {
            let bearer = format!("Bearer {token}");
            let headers = [kind, ("authorization", &*bearer)];
            let (status, answer) = server.call(method, path, &headers, &body.to_string()).await;
            (status.as_u16(), answer)
        };
        let to = |namespace: &str| json!({"type": "t", "namespace": namespace});
        assert_eq!(call(&sends, Method::POST, "/events", to("ml.train")).await.0, 200);
        let (status, answer) = call(&sends, Method::POST, "/events", to("web")).await;
        assert_eq!(status, 403);
        assert_eq!(answer["error"], "the token `sends` gives no right to send in namespace `web`");
        let mixed = json!([to("ml.train"), to("web")]);
        assert_eq!(call(&sends, Method::POST, "/events", mixed).await.0, 403);
        assert_eq!(call(&sends, Method::POST, "/events", to("airflow")).await.0, 403);
        assert_eq!(call(&sends, Method::GET, "/events", json!(null)).await.0, 403);
        assert_eq!(call(&reads, Method::POST, "/events", to("ml.train")).await.0, 403);
        server.send(&to("web")).await;
        let (_, page) = call(&reads, Method::GET, "/events", json!(null)).await;
        assert_eq!(page["events"].as_array().unwrap().len(), 1, "what may not be read is not there");
        assert_eq!(call(&reads, Method::GET, "/events?namespace=web", json!(null)).await.0, 403);
        assert_eq!(call(&reads, Method::GET, "/events/2", json!(null)).await.0, 403);
        assert_eq!(call(&reads, Method::GET, "/events/count", json!(null)).await.1["count"], 1);
        let subscribe = json!({"name": "all", "after": 0});
        let (_, made) = call(&reads, Method::POST, "/events/subscriptions", subscribe).await;
        assert_eq!(made["filter"]["namespace"], json!(["ml.*"]));
        events::subscriptions::create(db, "others", &Filter::default(), Default::default(), now)
            .await
            .unwrap();
        let others = "/events/subscriptions/others/events";
        assert_eq!(call(&reads, Method::GET, others, json!(null)).await.0, 403);
        db.exec(db.sql("DELETE FROM slipstream_token")).await.unwrap();
        assert_eq!(
            Server::start(db, &[])
                .await
                .call(Method::GET, "/events", &[("authorization", "Bearer x")], "")
                .await
                .0,
            401
        );
    });
}
