// Command saramamember is a member of a consumer group in sarama; see package member.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"corelane/conformance/member"
)

const (
	// How long a batch waits for one record more, and between automatic commits.
	gather = 50 * time.Millisecond
	// A fetch that was under way when a partition was paused brings its records still.
	fetchWait = 500 * time.Millisecond
)

var strategies = map[string]sarama.BalanceStrategy{
	"range":      sarama.NewBalanceStrategyRange(),
	"roundrobin": sarama.NewBalanceStrategyRoundRobin(),
}

// A handler is of one session; where it is to begin at other offsets, the session ends and the next one does.
type handler struct {
	*member.Member
	group sarama.ConsumerGroup
	again chan struct{}
}

func (h handler) Setup(session sarama.ConsumerGroupSession) error {
	h.Partitions("assigned", session.Claims()[h.Topic])
	go h.obey(session)
	return nil
}

func (h handler) obey(session sarama.ConsumerGroupSession) {
	for {
		select {
		case <-session.Context().Done():
			return
		case order := <-h.Orders:
			partitions := map[string][]int32{h.Topic: order.Partitions}
			switch order.Do {
			case "pause":
				h.group.Pause(partitions)
				time.Sleep(2 * fetchWait)
			case "resume":
				h.group.Resume(partitions)
			case "seek":
				for _, partition := range order.Partitions {
					session.ResetOffset(h.Topic, partition, order.Offset, "")
				}
				session.Commit()
				close(h.again)
			}
			h.Obeyed(order)
			if order.Do == "seek" {
				return
			}
		}
	}
}

func (h handler) Cleanup(session sarama.ConsumerGroupSession) error {
	h.Partitions("revoked", session.Claims()[h.Topic])
	return nil
}

// ConsumeClaim commits after what has come so far, up to a batch: a commit waits behind the fetch that is under way on
// the same connection.
func (h handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-session.Context().Done():
			return nil
		case <-h.Closing:
			return nil
		case <-h.again:
			return nil
		case record, open := <-claim.Messages():
			if !open {
				return nil
			}
			h.process(session, h.batch(record, claim.Messages()))
		}
	}
}

func (h handler) batch(first *sarama.ConsumerMessage, more <-chan *sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	records := []*sarama.ConsumerMessage{first}
	for len(records) < h.Batch {
		select {
		case record, open := <-more:
			if !open {
				return records
			}
			records = append(records, record)
		case <-time.After(gather):
			return records
		}
	}
	return records
}

func (h handler) process(session sarama.ConsumerGroupSession, records []*sarama.ConsumerMessage) {
	var offsets []int64
	var values []string
	for _, record := range records {
		offsets, values = append(offsets, record.Offset), append(values, string(record.Value))
	}
	count := h.Read(records[0].Partition, offsets, values)
	if count == 0 {
		return
	}
	last := records[count-1]
	session.MarkMessage(last, "")
	// It does not tell whether it worked: failures come out of the group's Errors, and what is still to be committed goes
	// with the next automatic commit.
	session.Commit()
	h.Say("committed", map[string]any{"offsets": map[int32]int64{last.Partition: last.Offset + 1}})
	h.Rest()
}

func config(m *member.Member) *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = m.Name
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = fetchWait
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = gather
	if m.Assignor != "" {
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[m.Assignor]}
	}
	if m.SessionMs != 0 {
		config.Consumer.Group.Session.Timeout = time.Duration(m.SessionMs) * time.Millisecond
	}
	if m.Instance != "" {
		config.Consumer.Group.InstanceId = m.Instance
	}
	return config
}

func main() {
	m := member.New()
	group, err := sarama.NewConsumerGroup([]string{m.Bootstrap}, m.Group, config(m))
	if err != nil {
		panic(err)
	}
	go func() {
		for err := range group.Errors() {
			m.Say("error", map[string]any{"why": err.Error()})
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-m.Closing
		cancel()
	}()
	for !m.IsClosing() {
		if err := group.Consume(ctx, []string{m.Topic}, handler{m, group, make(chan struct{})}); err != nil {
			if errors.Is(err, sarama.ErrClosedConsumerGroup) {
				break
			}
			m.Say("error", map[string]any{"why": err.Error()})
		}
	}
	if err := group.Close(); err != nil {
		m.Say("error", map[string]any{"why": err.Error()})
	}
	m.Say("closed", nil)
}
