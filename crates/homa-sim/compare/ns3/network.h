// The network of `homa sim --preset sigcomm18` in ns-3: hosts, switches and links.

#ifndef NETWORK_H
#define NETWORK_H

#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"
#include "ns3/traffic-control-module.h"

#include <vector>

using namespace ns3;

constexpr uint32_t RACKS = 9;
constexpr uint32_t HOSTS_PER_RACK = 16;
constexpr uint32_t HOSTS = RACKS * HOSTS_PER_RACK;
constexpr uint32_t SPINES = 4;
constexpr uint32_t SWITCHES = RACKS + SPINES;
constexpr uint64_t HOST_GBPS = 10;
constexpr uint64_t CORE_GBPS = 40;
/// 1000 ns in the sender's host, 250 in the switch and 500 in the receiver's host: for both links of hosts
/// together as much in each direction.
constexpr uint64_t HOST_LINK_NS = 875;
constexpr uint64_t CORE_LINK_NS = 250;
constexpr uint32_t SEGMENT_BYTES = 1460;
/// Headers of IP and TCP.
constexpr uint32_t HEADER_BYTES = 40;
constexpr uint32_t PACKET_BYTES = SEGMENT_BYTES + HEADER_BYTES;
/// Ethernet's header, checksum, preamble and gap: what packets occupy links for besides.
constexpr uint32_t ETHERNET_BYTES = 38;
/// ns-3 counts a header of PPP; the rest passes as a gap between packets.
constexpr uint32_t GAP_BYTES = ETHERNET_BYTES - 2;

inline Ipv4Address AddressOf(uint32_t host)
{
    return Ipv4Address(0x0a000001 + host);
}

inline uint32_t HostOf(Ipv4Address address)
{
    return address.Get() - 0x0a000001;
}

/// Which of several ways, as `homa sim` chooses it.
inline uint64_t FlowHash(uint64_t from, uint64_t to, uint64_t node)
{
    uint64_t mixed = ((from << 32 | to) ^ (node << 17)) * 0x9e3779b97f4a7c15;
    return ((mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9) >> 33;
}

/// ECMP by pairs of hosts: ns-3 itself has one way for all, or one at random for each packet. Nodes are
/// numbered racks first, then spines, then hosts; interface 0 is the loopback.
class PairEcmp : public Ipv4RoutingProtocol
{
  public:
    PairEcmp(uint32_t node, Ptr<Ipv4> ipv4) : m_node(node), m_ipv4(ipv4) {}

    Ptr<Ipv4Route> RouteOutput(Ptr<Packet>, const Ipv4Header&, Ptr<NetDevice>,
                               Socket::SocketErrno& error) override
    {
        error = Socket::ERROR_NOTERROR;
        return Route(1);
    }

    bool RouteInput(Ptr<const Packet> packet, const Ipv4Header& header, Ptr<const NetDevice> device,
                    UnicastForwardCallback forward, MulticastForwardCallback,
                    LocalDeliverCallback deliver, ErrorCallback) override
    {
        uint32_t from = HostOf(header.GetSource()), to = HostOf(header.GetDestination());
        uint32_t rack = to / HOSTS_PER_RACK;
        if (m_node >= SWITCHES) {
            deliver(packet, header, m_ipv4->GetInterfaceForDevice(device));
        } else if (m_node >= RACKS) {
            forward(Route(1 + rack), packet, header);
        } else if (rack == m_node) {
            forward(Route(1 + to % HOSTS_PER_RACK), packet, header);
        } else {
            uint32_t spine = FlowHash(from, to, m_node) % SPINES;
            forward(Route(1 + HOSTS_PER_RACK + spine), packet, header);
        }
        return true;
    }

    void NotifyInterfaceUp(uint32_t) override {}
    void NotifyInterfaceDown(uint32_t) override {}
    void NotifyAddAddress(uint32_t, Ipv4InterfaceAddress) override {}
    void NotifyRemoveAddress(uint32_t, Ipv4InterfaceAddress) override {}
    void SetIpv4(Ptr<Ipv4>) override {}
    void PrintRoutingTable(Ptr<OutputStreamWrapper>, Time::Unit) const override {}

  private:
    /// The route through an interface, made once.
    Ptr<Ipv4Route> Route(uint32_t interface)
    {
        m_routes.resize(std::max<size_t>(m_routes.size(), interface + 1));
        Ptr<Ipv4Route>& route = m_routes[interface];
        if (!route) {
            route = Create<Ipv4Route>();
            route->SetSource(m_node < SWITCHES ? Ipv4Address() : AddressOf(m_node - SWITCHES));
            // Nobody asks for the link address of the far end of such a link, but it must have a name.
            route->SetGateway(Ipv4Address("10.255.255.254"));
            route->SetOutputDevice(m_ipv4->GetNetDevice(interface));
        }
        return route;
    }

    uint32_t m_node;
    Ptr<Ipv4> m_ipv4;
    std::vector<Ptr<Ipv4Route>> m_routes;
};

/// Hosts, switches, and the queues in front of links.
class Network
{
  public:
    /// With switches that mark packets which find so many bytes in a queue.
    explicit Network(uint32_t mark_bytes) : m_mark_bytes(mark_bytes)
    {
        m_nodes.Create(SWITCHES + HOSTS);
        InternetStackHelper stack;
        stack.SetIpv6StackInstall(false);
        stack.Install(m_nodes);
        for (uint32_t node = 0; node < m_nodes.GetN(); ++node) {
            Ptr<Ipv4> ipv4 = m_nodes.Get(node)->GetObject<Ipv4>();
            ipv4->SetRoutingProtocol(Create<PairEcmp>(node, ipv4));
        }
        for (uint32_t host = 0; host < HOSTS; ++host) {
            Link(host / HOSTS_PER_RACK, SWITCHES + host, HOST_GBPS, HOST_LINK_NS);
        }
        for (uint32_t rack = 0; rack < RACKS; ++rack) {
            for (uint32_t spine = 0; spine < SPINES; ++spine) {
                Link(rack, RACKS + spine, CORE_GBPS, CORE_LINK_NS);
            }
        }
    }

    Ptr<Node> Host(uint32_t host) const
    {
        return m_nodes.Get(SWITCHES + host);
    }

    /// Packets that have left the queue of a device.
    uint64_t Hops() const
    {
        uint64_t hops = 0;
        for (const auto& device : m_devices) {
            hops += device->GetQueue()->GetTotalReceivedPackets() - device->GetQueue()->GetNPackets();
        }
        return hops;
    }

    uint64_t Drops() const
    {
        uint64_t drops = 0;
        for (uint32_t i = 0; i < m_queues.GetN(); ++i) {
            drops += m_queues.Get(i)->GetStats().nTotalDroppedPackets;
        }
        return drops;
    }

  private:
    void Link(uint32_t a, uint32_t b, uint64_t gbps, uint64_t delay_ns)
    {
        PointToPointHelper link;
        Time gap = PicoSeconds(GAP_BYTES * 8000 / gbps);
        link.SetQueue("ns3::DropTailQueue", "MaxSize", StringValue("1p"));
        link.SetDeviceAttribute("DataRate", DataRateValue(DataRate(gbps * 1'000'000'000)));
        link.SetDeviceAttribute("InterframeGap", TimeValue(gap));
        // There, a packet has arrived when its gap is over.
        link.SetChannelAttribute("Delay", TimeValue(NanoSeconds(delay_ns) + gap));
        NetDeviceContainer ends = link.Install(m_nodes.Get(a), m_nodes.Get(b));
        AddDevice(ends.Get(0));
        AddDevice(ends.Get(1));
    }

    void AddDevice(Ptr<NetDevice> device)
    {
        uint32_t node = device->GetNode()->GetId();
        Ptr<Ipv4> ipv4 = device->GetNode()->GetObject<Ipv4>();
        uint32_t interface = ipv4->AddInterface(device);
        if (node >= SWITCHES) {
            ipv4->AddAddress(interface, {AddressOf(node - SWITCHES), Ipv4Mask::GetOnes()});
        }
        ipv4->SetUp(interface);
        m_queues.Add((node >= SWITCHES ? HostQueue() : SwitchQueue()).Install(device));
        m_devices.push_back(DynamicCast<PointToPointNetDevice>(device));
    }

    /// Connections take turns, a packet each; CoDel never has reason to drop anything.
    static TrafficControlHelper HostQueue()
    {
        TrafficControlHelper queue;
        queue.SetRootQueueDisc("ns3::FqCoDelQueueDisc",
                               "MaxSize", StringValue("1000000000p"),
                               "UseEcn", BooleanValue(false),
                               "Target", StringValue("1000s"),
                               "Interval", StringValue("1000s"));
        return queue;
    }

    /// All packets in a row without limit, marked by the length of the moment.
    TrafficControlHelper SwitchQueue() const
    {
        TrafficControlHelper queue;
        queue.SetRootQueueDisc("ns3::RedQueueDisc",
                               "MaxSize", StringValue("1000000000B"),
                               "MeanPktSize", UintegerValue(PACKET_BYTES),
                               "MinTh", DoubleValue(m_mark_bytes),
                               "MaxTh", DoubleValue(m_mark_bytes),
                               "QW", DoubleValue(1),
                               "Gentle", BooleanValue(false),
                               "UseEcn", BooleanValue(true),
                               "UseHardDrop", BooleanValue(false));
        return queue;
    }

    uint32_t m_mark_bytes;
    NodeContainer m_nodes;
    std::vector<Ptr<PointToPointNetDevice>> m_devices;
    QueueDiscContainer m_queues;
};

#endif
