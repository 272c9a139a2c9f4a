//! Getting a connection: to one server, to the one that sentinels name, or to a cluster.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, Pipeline,
    RedisConnectionInfo, RedisResult, TlsCertificates, Value, cmd,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::Failure;
use super::trouble::Trouble;
use crate::config::{RedisAddress, RedisPlace, RedisSettings};

/// How long a connection may take to be made, with all that is said at its beginning.
pub(super) const CONNECTING: Duration = Duration::from_millis(700);

/// How long a sentinel may take to say who serves.
const SENTINEL: Duration = Duration::from_millis(300);

/// A way to the Redis. Its clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the servers of a cluster.
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Server(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer?.extract_error()
    }

    /// Sends `pipeline`, all of it to one server; `replies` is the number of its commands.
    pub(super) async fn pipeline(&mut self, pipeline: &Pipeline, replies: usize) -> RedisResult<Vec<Value>> {
        let answers = match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, 0, replies).await,
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, 0, replies).await,
        };
        answers?.into_iter().map(Value::extract_error).collect()
    }

    /// Whether it is one that can be written to, if it answers.
    pub(super) async fn examine(&mut self) -> RedisResult<bool> {
        match self {
            Self::Server(connection) => {
                cmd("PING").query_async::<Value>(connection).await?;
                let role: Value = cmd("ROLE").query_async(connection).await?;
                Ok(is_master(&role))
            }
            Self::Cluster(connection) => {
                let everywhere = (MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::AllSucceeded));
                connection.route_command(cmd("PING"), RoutingInfo::MultiNode(everywhere)).await?;
                Ok(true)
            }
        }
    }

    /// Answers once the server takes what may write, or refuses it. A server holds all of that back, and answers
    /// everything else, while a failover is under way that somebody asked for. The nodes of a cluster do so one by
    /// one, and whom that concerns is told of it.
    pub(super) async fn ask_to_write(&mut self) -> RedisResult<()> {
        if let Self::Server(connection) = self {
            cmd("EVAL").arg("return 1").arg(0).query_async::<Value>(connection).await?;
        }
        Ok(())
    }
}

fn is_master(role: &Value) -> bool {
    let Value::Array(parts) = role else { return false };
    parts.first().is_some_and(|role| text_of(role) == Some(b"master"))
}

/// The bytes of a text.
pub(super) fn text_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// All connections to one Redis at one time.
#[derive(Clone)]
pub(super) struct Link {
    /// For everything that answers at once.
    pub(super) commands: Connection,
    /// For what waits for replicas: whoever waits holds up what comes behind.
    pub(super) patient: Connection,
    /// The server that all this is with, if it is one.
    server: Option<RedisAddress>,
    /// Which link it is of all there were.
    pub(super) number: u64,
}

/// How to connect.
pub(super) struct Way {
    place: RedisPlace,
    login: RedisConnectionInfo,
    tls: Option<TlsCertificates>,
}

impl Way {
    pub(super) fn new(settings: &RedisSettings) -> Self {
        let mut login =
            RedisConnectionInfo::default().set_skip_set_lib_name().set_db(settings.database.into());
        if let Some(user) = &settings.user {
            login = login.set_username(user);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.expose());
        }
        let certificates = || TlsCertificates { client_tls: None, root_cert: settings.ca.clone() };
        Self { place: settings.place.clone(), login, tls: settings.tls.then(certificates) }
    }

    /// Whether it leads to a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.place, RedisPlace::Cluster(_))
    }

    /// Connects. It may take [`CONNECTING`].
    pub(super) async fn connect(&self, number: u64) -> Result<Link, Failure> {
        let deadline = Instant::now() + CONNECTING;
        let (server, address) = match &self.place {
            RedisPlace::Cluster(nodes) => return self.connect_to_cluster(nodes, number, deadline).await,
            RedisPlace::Single(server) => (Some(server.clone()), self.address(server)),
            RedisPlace::Socket(path) => (None, ConnectionAddr::Unix(path.clone())),
            RedisPlace::Sentinel { sentinels, service } => {
                let server = self.master(sentinels, service).await?;
                let address = self.address(&server);
                (Some(server), address)
            }
        };
        let opening = timeout_at(deadline, self.open_two(&address)).await;
        let opened = opening.map_err(|_| Failure::silent(&address, "there is no connection in time"))?;
        let [commands, patient] = opened.map_err(|error| Failure::of(&address, &error))?;
        let mut link = Link { commands, patient, server, number };
        match timeout_at(deadline, link.commands.examine()).await {
            Ok(Ok(true)) => Ok(link),
            Ok(Ok(false)) => Err(Failure::unfit(&address)),
            Ok(Err(error)) => Err(Failure::of(&address, &error)),
            Err(_) => Err(Failure::silent(&address, "it takes the connection and does not answer in time")),
        }
    }

    async fn open_two(&self, address: &ConnectionAddr) -> RedisResult<[Connection; 2]> {
        let client = self.open(address.clone(), &self.login)?;
        let (commands, patient) = tokio::try_join!(multiplexed(&client), multiplexed(&client))?;
        Ok([commands, patient].map(Connection::Server))
    }

    async fn connect_to_cluster(
        &self,
        nodes: &[RedisAddress],
        number: u64,
        deadline: Instant,
    ) -> Result<Link, Failure> {
        let opening = timeout_at(deadline, async {
            let client = self.cluster()?;
            tokio::try_join!(client.get_async_connection(), client.get_async_connection())
        });
        if let Ok(Ok((commands, patient))) = opening.await {
            let [commands, patient] = [commands, patient].map(Connection::Cluster);
            return Ok(Link { commands, patient, server: None, number });
        }
        // The library has one error for all nodes, with what a server said in it: each is asked by itself.
        let asked = nodes.iter().map(async |node| {
            let address = self.address(node);
            let client = self.client(node, &self.login).map_err(|error| Failure::of(&address, &error))?;
            match timeout(SENTINEL, multiplexed(&client)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(Failure::of(&address, &error)),
                Err(_) => Err(Failure::silent(&address, "there is no connection in time")),
            }
        });
        let failures = futures_util::future::join_all(asked).await.into_iter().filter_map(Result::err);
        Err(Failure::of_all(
            failures.collect(),
            "its nodes can be reached, but it is no cluster that answers",
        ))
    }

    /// Whether `link` is still where it should be, as far as the sentinels know.
    pub(super) async fn still_leads_to(&self, link: &Link) -> bool {
        match (&self.place, &link.server) {
            (RedisPlace::Sentinel { sentinels, service }, Some(server)) => {
                self.master(sentinels, service).await.is_ok_and(|master| master == *server)
            }
            _ => true,
        }
    }

    /// Where `link` leads to, if that is one place.
    pub(super) fn end_of(&self, link: &Link) -> String {
        match (&self.place, &link.server) {
            (RedisPlace::Socket(path), _) => path.display().to_string(),
            (_, Some(server)) => self.address(server).to_string(),
            (_, None) => String::new(),
        }
    }

    /// A subscription at the server of `link`, or at some node of the cluster.
    pub(super) async fn listen(&self, link: &Link, channels: &[&str]) -> Result<PubSub, Trouble> {
        let address = match (&self.place, &link.server) {
            (RedisPlace::Socket(path), _) => ConnectionAddr::Unix(path.clone()),
            (RedisPlace::Cluster(nodes), _) => {
                // One after the other, each time another one first.
                let turn = usize::try_from(link.number).unwrap_or_default();
                let mut trouble = Trouble::Lost;
                for node in nodes.iter().cycle().skip(turn % nodes.len().max(1)).take(nodes.len()) {
                    let client = self.client(node, &self.login)?;
                    match timeout(SENTINEL, subscribe(&client, channels)).await {
                        Ok(Ok(subscription)) => return Ok(subscription),
                        Ok(Err(other)) => trouble = other,
                        Err(_) => {}
                    }
                }
                return Err(trouble);
            }
            (_, Some(server)) => self.address(server),
            (_, None) => return Err(Trouble::Lost),
        };
        let client = self.open(address, &self.login)?;
        timeout(CONNECTING, subscribe(&client, channels)).await?
    }

    /// The server that most sentinels name.
    async fn master(&self, sentinels: &[RedisAddress], service: &str) -> Result<RedisAddress, Failure> {
        let asked = sentinels.iter().map(|sentinel| timeout(SENTINEL, self.ask(sentinel, service)));
        let named = futures_util::future::join_all(asked).await;
        let mut votes: HashMap<(String, u16), usize> = HashMap::new();
        let mut failures = Vec::new();
        for (answer, sentinel) in named.into_iter().zip(sentinels) {
            match answer {
                Ok(Ok(server)) => *votes.entry(server).or_default() += 1,
                Ok(Err(error)) => failures.push(Failure::of(&self.address(sentinel), &error)),
                Err(_) => {
                    failures.push(Failure::silent(&self.address(sentinel), "no sentinel answers in time"));
                }
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        let ((host, port), _) =
            most.ok_or_else(|| Failure::of_all(failures, "no sentinel names a server"))?;
        Ok(RedisAddress { host, port })
    }

    /// Whom `sentinel` names. Many a sentinel asks for no password where the servers do.
    async fn ask(&self, sentinel: &RedisAddress, service: &str) -> RedisResult<(String, u16)> {
        let mut question = cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(service);
        let anonymous = RedisConnectionInfo::default().set_skip_set_lib_name();
        let mut answer = Err((::redis::ErrorKind::Io, "no answer").into());
        for login in [&self.login, &anonymous] {
            // Sentinels have no databases.
            let client = self.client(sentinel, &login.clone().set_db(0))?;
            answer = match multiplexed(&client).await {
                Ok(mut connection) => question.query_async(&mut connection).await,
                Err(error) => Err(error),
            };
            if answer.is_ok() || login.password().is_none() {
                break;
            }
        }
        answer
    }

    fn address(&self, at: &RedisAddress) -> ConnectionAddr {
        let (host, port) = (at.host.clone(), at.port);
        if self.tls.is_some() {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    fn client(&self, at: &RedisAddress, login: &RedisConnectionInfo) -> RedisResult<Client> {
        self.open(self.address(at), login)
    }

    fn open(&self, address: ConnectionAddr, login: &RedisConnectionInfo) -> RedisResult<Client> {
        let info = info(address, login)?;
        match &self.tls {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let RedisPlace::Cluster(nodes) = &self.place else {
            return Err((::redis::ErrorKind::InvalidClientConfig, "no cluster").into());
        };
        let nodes: Vec<_> =
            nodes.iter().map(|node| info(self.address(node), &self.login)).collect::<Result<_, _>>()?;
        let mut builder = ClusterClient::builder(nodes)
            .retries(3)
            .min_retry_wait(20)
            .max_retry_wait(150)
            .connection_timeout(SENTINEL)
            .response_timeout(CONNECTING);
        if let Some(certificates) = &self.tls {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }
}

fn info(address: ConnectionAddr, login: &RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
    Ok(address.into_connection_info()?.set_redis_settings(login.clone()))
}

async fn multiplexed(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn subscribe(client: &Client, channels: &[&str]) -> Result<PubSub, Trouble> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channels).await?;
    Ok(subscription)
}
