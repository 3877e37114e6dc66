//! The messages of AIFlow's notification service 0.3.1, by their numbers on the wire.

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ReturnStatus {
    Success = 0,
    Error = 1,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EventProto {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    #[prost(string, tag = "3")]
    pub(super) event_type: String,
    #[prost(string, tag = "4")]
    pub(super) context: String,
    #[prost(string, tag = "5")]
    pub(super) namespace: String,
    #[prost(int64, tag = "6")]
    pub(super) version: i64,
    /// In milliseconds.
    #[prost(int64, tag = "7")]
    pub(super) create_time: i64,
    #[prost(string, tag = "8")]
    pub(super) sender: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SendEventRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) event: Option<EventProto>,
    #[prost(string, tag = "2")]
    pub(super) uuid: String,
    #[prost(bool, tag = "3")]
    pub(super) enable_idempotence: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SendEventsResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) event: Option<EventProto>,
    #[prost(enumeration = "ReturnStatus", tag = "2")]
    pub(super) return_code: i32,
    #[prost(string, tag = "3")]
    pub(super) return_msg: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListEventsRequest {
    #[prost(string, repeated, tag = "1")]
    pub(super) keys: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) event_type: String,
    #[prost(int64, tag = "3")]
    pub(super) start_time: i64,
    #[prost(int64, tag = "4")]
    pub(super) start_version: i64,
    #[prost(int32, tag = "5")]
    pub(super) timeout_seconds: i32,
    #[prost(string, tag = "6")]
    pub(super) namespace: String,
    #[prost(string, tag = "7")]
    pub(super) sender: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CountEventsRequest {
    #[prost(string, repeated, tag = "1")]
    pub(super) keys: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) event_type: String,
    #[prost(int64, tag = "3")]
    pub(super) start_time: i64,
    #[prost(int64, tag = "4")]
    pub(super) start_version: i64,
    #[prost(string, tag = "5")]
    pub(super) namespace: String,
    #[prost(string, tag = "6")]
    pub(super) sender: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListAllEventsRequest {
    #[prost(int32, tag = "1")]
    pub(super) timeout_seconds: i32,
    #[prost(int64, tag = "2")]
    pub(super) start_time: i64,
    #[prost(int64, tag = "3")]
    pub(super) start_version: i64,
    #[prost(int64, tag = "4")]
    pub(super) end_version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListEventsResponse {
    #[prost(enumeration = "ReturnStatus", tag = "1")]
    pub(super) return_code: i32,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) events: Vec<EventProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SenderEventCountProto {
    #[prost(string, tag = "1")]
    pub(super) sender: String,
    #[prost(int64, tag = "2")]
    pub(super) event_count: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CountEventsResponse {
    #[prost(enumeration = "ReturnStatus", tag = "1")]
    pub(super) return_code: i32,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
    #[prost(int64, tag = "3")]
    pub(super) event_count: i64,
    #[prost(message, repeated, tag = "4")]
    pub(super) sender_event_counts: Vec<SenderEventCountProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetLatestVersionByKeyRequest {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(int32, tag = "3")]
    pub(super) timeout_seconds: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetLatestVersionResponse {
    /// A text here, and only here.
    #[prost(string, tag = "1")]
    pub(super) return_code: String,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
    #[prost(int64, tag = "3")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MemberProto {
    #[prost(int64, tag = "1")]
    pub(super) version: i64,
    #[prost(string, tag = "2")]
    pub(super) server_uri: String,
    /// In milliseconds.
    #[prost(int64, tag = "3")]
    pub(super) update_time: i64,
}

/// What was sent to another server; only that something was is of interest.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NotifyRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListMembersRequest {
    #[prost(int32, tag = "1")]
    pub(super) timeout_seconds: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListMembersResponse {
    #[prost(enumeration = "ReturnStatus", tag = "1")]
    pub(super) return_code: i32,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) members: Vec<MemberProto>,
}

/// Which server is new; the servers find each other in the database.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NotifyNewMemberRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClientMeta {
    #[prost(string, tag = "1")]
    pub(super) namespace: String,
    #[prost(string, tag = "2")]
    pub(super) sender: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RegisterClientRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) client_meta: Option<ClientMeta>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RegisterClientResponse {
    #[prost(enumeration = "ReturnStatus", tag = "1")]
    pub(super) return_code: i32,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
    #[prost(int64, tag = "3")]
    pub(super) client_id: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClientIdRequest {
    #[prost(int64, tag = "1")]
    pub(super) client_id: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CommonResponse {
    #[prost(enumeration = "ReturnStatus", tag = "1")]
    pub(super) return_code: i32,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IsClientExistsResponse {
    #[prost(enumeration = "ReturnStatus", tag = "1")]
    pub(super) return_code: i32,
    #[prost(string, tag = "2")]
    pub(super) return_msg: String,
    #[prost(bool, tag = "3")]
    pub(super) is_exists: bool,
}
