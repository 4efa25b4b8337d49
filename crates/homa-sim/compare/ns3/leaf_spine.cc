// The network of `homa sim --preset sigcomm18` in ns-3, and in it the messages of a file that `homa sim
// --trace` wrote. `cargo xtask ns3` builds this, runs it, and compares.
//
//     leaf_spine dctcp|raw TRACE.csv END_NS TIMES.csv
//
// sends the messages of TRACE.csv until END_NS, and prints a line of JSON about the run. With dctcp it
// writes to TIMES.csv how long each took (nothing in column time_ns: it has not arrived). With raw there is
// no transport: a message's packets are sent at the rate of the host's link and forgotten on arrival.
//
// Same as there: hosts, switches, links and their speeds; the least time from host to host; bytes that
// packets occupy links for; the way of each pair's packets; the messages; one connection for each pair of
// hosts and direction, set up beforehand; initial window, gain, least time-out, an acknowledgement for each
// packet; unlimited buffers, and marks from the same number of full packets on.
//
// What ns-3's TCP does besides: headers that are written and parsed, SACK, limited transmit, PRR, receive
// windows, segments that hold the end of one message and the begin of the next.

#include "network.h"
#include "trace.h"

#include <chrono>
#include <deque>
#include <iostream>
#include <map>

constexpr uint32_t MARK_PACKETS = 65;
/// Connections are set up during this time, and have some more to become quiet.
constexpr uint64_t SETUP_NS = 20'000'000;
constexpr uint64_t BEGIN_NS = SETUP_NS + 1'000'000;
constexpr uint16_t PORT = 1;
/// A number for experiments (RFC 3692): hosts do nothing with such packets.
constexpr uint8_t RAW_PROTOCOL = 253;

/// What sends messages.
class Transport
{
  public:
    virtual ~Transport() = default;
    virtual void Send(Message& message) = 0;

    /// Sends a message now, and schedules the one after it.
    void SendFrom(std::vector<Message>& messages, size_t next)
    {
        Send(messages[next]);
        if (++next < messages.size()) {
            Time delay = PicoSeconds(messages[next].start_ps) - Simulator::Now();
            Simulator::Schedule(delay, &Transport::SendFrom, this, std::ref(messages), next);
        }
    }
};

/// A stream of bytes from one host to another.
struct Connection
{
    Ptr<Socket> socket;
    bool accepted = false;
    uint64_t sent = 0, received = 0;
    /// Messages under way: where they end in the stream, and which they are.
    std::deque<std::pair<uint64_t, Message*>> messages;
};

/// Connections of ns-3's TCP.
class Dctcp : public Transport
{
  public:
    /// Schedules that connections are opened, one after the other, for all pairs with messages.
    Dctcp(const Network& network, const std::vector<Message>& messages) : m_network(network)
    {
        for (uint32_t host = 0; host < HOSTS; ++host) {
            Ptr<Socket> listener = Socket::CreateSocket(network.Host(host), TcpSocketFactory::GetTypeId());
            listener->Bind(InetSocketAddress(AddressOf(host), PORT));
            listener->Listen();
            listener->SetAcceptCallback(MakeNullCallback<bool, Ptr<Socket>, const Address&>(),
                                        MakeCallback(&Dctcp::Accept, this));
        }
        for (const Message& message : messages) {
            m_connections[{message.from, message.to}];
        }
        uint64_t number = 0;
        for (const auto& [pair, connection] : m_connections) {
            Time at = NanoSeconds(number++ * SETUP_NS / m_connections.size());
            Simulator::Schedule(at, &Dctcp::Open, this, pair.first, pair.second);
        }
    }

    void Send(Message& message) override
    {
        Connection& connection = m_connections[{message.from, message.to}];
        NS_ABORT_MSG_UNLESS(connection.accepted, "a connection is not set up");
        connection.sent += message.bytes;
        connection.messages.emplace_back(connection.sent, &message);
        int taken = connection.socket->Send(Create<Packet>(message.bytes));
        NS_ABORT_MSG_UNLESS(taken == static_cast<int>(message.bytes), "a message is not taken whole");
    }

  private:
    void Open(uint32_t from, uint32_t to)
    {
        Ptr<Socket> socket = Socket::CreateSocket(m_network.Host(from), TcpSocketFactory::GetTypeId());
        socket->Bind();
        socket->Connect(InetSocketAddress(AddressOf(to), PORT));
        m_connections[{from, to}].socket = socket;
    }

    void Accept(Ptr<Socket> socket, const Address& peer)
    {
        uint32_t from = HostOf(InetSocketAddress::ConvertFrom(peer).GetIpv4());
        Connection& connection = m_connections[{from, socket->GetNode()->GetId() - SWITCHES}];
        connection.accepted = true;
        socket->SetRecvCallback(MakeBoundCallback(&Dctcp::Read, &connection));
    }

    static void Read(Connection* connection, Ptr<Socket> socket)
    {
        while (Ptr<Packet> packet = socket->Recv()) {
            connection->received += packet->GetSize();
        }
        auto& messages = connection->messages;
        while (!messages.empty() && messages.front().first <= connection->received) {
            Message* message = messages.front().second;
            message->time_ps = Simulator::Now().GetPicoSeconds() - message->start_ps;
            messages.pop_front();
        }
    }

    const Network& m_network;
    std::map<std::pair<uint32_t, uint32_t>, Connection> m_connections;
};

/// Packets, and nothing else.
class Raw : public Transport
{
  public:
    explicit Raw(const Network& network) : m_network(network) {}

    void Send(Message& message) override
    {
        SendPackets(message.from, message.to, message.bytes);
    }

  private:
    /// Sends a packet, and schedules the others.
    void SendPackets(uint32_t from, uint32_t to, uint32_t left)
    {
        uint32_t bytes = std::min(left, SEGMENT_BYTES) + HEADER_BYTES;
        Ptr<Ipv4L3Protocol> ipv4 = m_network.Host(from)->GetObject<Ipv4L3Protocol>();
        Socket::SocketErrno error;
        Ptr<Ipv4Route> route = ipv4->GetRoutingProtocol()->RouteOutput(nullptr, Ipv4Header(), nullptr, error);
        Ptr<Packet> packet = Create<Packet>(bytes - Ipv4Header().GetSerializedSize());
        ipv4->Send(packet, AddressOf(from), AddressOf(to), RAW_PROTOCOL, route);
        if (left > SEGMENT_BYTES) {
            Time time = PicoSeconds((bytes + ETHERNET_BYTES) * 8000 / HOST_GBPS);
            Simulator::Schedule(time, &Raw::SendPackets, this, from, to, left - SEGMENT_BYTES);
        }
    }

    const Network& m_network;
};

void SetDefaults()
{
    Config::SetDefault("ns3::TcpL4Protocol::SocketType", TypeIdValue(TcpDctcp::GetTypeId()));
    Config::SetDefault("ns3::TcpDctcp::DctcpShiftG", DoubleValue(1.0 / 16));
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(SEGMENT_BYTES));
    Config::SetDefault("ns3::TcpSocket::InitialCwnd", UintegerValue(10));
    Config::SetDefault("ns3::TcpSocket::DelAckCount", UintegerValue(1));
    Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(1 << 30));
    Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(1 << 29));
    Config::SetDefault("ns3::TcpSocketBase::Timestamp", BooleanValue(false));
    Config::SetDefault("ns3::TcpSocketBase::MinRto", TimeValue(MilliSeconds(1)));
    Config::SetDefault("ns3::TcpSocketBase::ClockGranularity", TimeValue(MicroSeconds(1)));
}

/// Runs until a time, and returns how many seconds that took.
double RunUntil(Time end)
{
    auto begun = std::chrono::steady_clock::now();
    Simulator::Stop(end - Simulator::Now());
    Simulator::Run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

int main(int argc, char** argv)
{
    std::string mode = argc > 1 ? argv[1] : "";
    if (argc != 5 || (mode != "dctcp" && mode != "raw")) {
        std::cerr << "usage: leaf_spine dctcp|raw TRACE.csv END_NS TIMES.csv\n";
        return 2;
    }
    Time::SetResolution(Time::PS);
    SetDefaults();
    Trace trace = ReadTrace(argv[2], BEGIN_NS * 1000);
    NS_ABORT_MSG_IF(trace.messages.empty(), "no messages in " << argv[2]);
    bool is_raw = mode == "raw";
    // What says nothing of ECN would be dropped instead.
    Network network(is_raw ? 1 << 30 : MARK_PACKETS * PACKET_BYTES);
    std::unique_ptr<Transport> transport;
    if (is_raw) {
        transport = std::make_unique<Raw>(network);
    } else {
        transport = std::make_unique<Dctcp>(network, trace.messages);
    }
    Time begin = NanoSeconds(BEGIN_NS), first = PicoSeconds(trace.messages[0].start_ps);
    Simulator::Schedule(first, &Transport::SendFrom, transport.get(), std::ref(trace.messages), 0);
    double setup_seconds = RunUntil(begin);
    uint64_t setup_hops = network.Hops();
    double wall_seconds = RunUntil(begin + NanoSeconds(std::stod(argv[3])));
    if (!is_raw) {
        WriteTrace(argv[4], trace);
    }
    std::cout << "{\"hops\":" << network.Hops() - setup_hops << ",\"wall_seconds\":" << wall_seconds
              << ",\"sim_seconds\":" << (Simulator::Now() - begin).GetSeconds()
              << ",\"drops\":" << network.Drops() << ",\"setup_hops\":" << setup_hops
              << ",\"setup_seconds\":" << setup_seconds << "}\n";
    return 0;
}
