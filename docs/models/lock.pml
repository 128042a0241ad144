/*
 * One exclusive lock of docs/protocols/locks.md: members that take, prove, lose, publish under and give it back, and a
 * server that gives it away whenever it likes. README.md here says what is modelled and what is not.
 *
 * A request is executed at any time after it was sent, its answer arrives at any time after that. Every host has a
 * clock of its own: they go at one rate, and tick in turns.
 *
 * Each WITHOUT_... takes out one safeguard and has to violate a property, each REACHES=... asks for a behaviour that has
 * to exist. tests/model runs them all.
 */
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef TOKENS
#define TOKENS 2 /* so many grants, then the world ends */
#endif
#ifndef FENCE
#define FENCE 3 /* ticks of a promise: fence_ms */
#endif
#ifdef WITHOUT_MARGIN
#define MARGIN 0
#else
#define MARGIN 2 /* so much earlier the client's time is up: LOCKS_MARGIN_MS */
#endif
#define NOBODY MEMBERS

mtype:state = { IDLE, FENCING, CLEANING, GRANTING, HELD, GIVING_BACK }; /* a sidecar with this lock */
mtype:call = { NONE, TAKE, CLEAN_STAGE, WRITE_TOKEN, PROVE, WRITE_CLEAN };
mtype:answer = { NOT_SENT, SENT, DONE, REFUSED };
mtype:command = { GONE, NOT_YET, RUNS };
mtype:publish = { NO_PUBLISH, STAGING, STAGED, RENAMING };

/* At the server. */
byte owner = NOBODY;
bool record_clean = true;
byte record_token;
byte stage; /* bit n: a file of token n is staged */

typedef member {
    mtype:state state = IDLE;
    mtype:call call = NONE; /* what the sidecar asked of the server */
    mtype:answer answer = NOT_SENT;
    byte call_left;    /* of the promise that this call proves: counted from before it was sent */
    byte token;        /* of the record when the lock was taken, then one's own */
    byte fence_left;   /* to wait for the one before */
    byte promise_left; /* of what the client was told last */
    bool connected;    /* efsctl to the sidecar */
    bool word;         /* from efsctl: all that used the lock is gone */
    mtype:command command = GONE;
    mtype:publish publish = NO_PUBLISH; /* STAGING: CREATE is under way, STAGED: it was answered */
    byte publish_token;
}
member m[MEMBERS];

byte clock_turn; /* whose clock ticks next */
bool given_back; /* property: cleanly, and not granted since */

#define is_free(i) (m[i].call == NONE)
#define is_in_time(i) (m[i].promise_left > MARGIN)
#define is_staging(i) (m[i].publish == STAGING || m[i].publish == STAGED)

/* Members are alike: the first token is member 0's. */
#define may_take(i) (record_token < TOKENS && (i == 0 || record_token > 0))

#ifdef WITHOUT_START_CHECK
#define may_start(i) true
#else
#define may_start(i) is_in_time(i)
#endif
#ifdef WITHOUT_DEADLINE_CHECK
#define may_rename(i) true
#else
#define may_rename(i) is_in_time(i)
#endif
#ifdef WITHOUT_UNCLEAN_PUBLISH
#define may_be_clean(i) true
#else
#define may_be_clean(i) (m[i].publish == NO_PUBLISH || m[i].publish_token != m[i].token)
#endif
#ifdef WITHOUT_LOCKED_DESCRIPTOR
#define fails(i) (owner != i && m[i].call == PROVE)
#elif defined(WITHOUT_PROOF)
#define fails(i) (owner != i && m[i].call != PROVE)
#else
#define fails(i) (owner != i)
#endif
#ifdef WITHOUT_TOKEN_INCREASE
#define next_token(i) (m[i].token)
#else
#define next_token(i) (m[i].token + 1)
#endif
#if defined(WITHOUT_KEEP_AFTER_CLOSE)
#define is_over(i) true
#elif defined(WITHOUT_MARGIN_AFTER_CLOSE)
#define is_over(i) (!is_in_time(i))
#else
#define is_over(i) (m[i].promise_left == 0)
#endif

#define exclusion 1
#define tokens_only_grow 2
#define stale_publish_never_wins 3
#define clean_release_costs_no_wait 4
#ifdef PROPERTY /* look at this one alone */
#define must_hold(what, condition) assert(PROPERTY != what || (condition))
#else
#define must_hold(what, condition) assert(condition)
#endif

#ifdef REACHES
#define taken_after_fence 1
#define late_rename_failed 2
#define late_token_failed 3
#define handed_over 4
#define killed_in_time 5
#define given_back_after_close 6
#define reached(what) assert(REACHES != what)
#else
#define reached(what) skip
#endif

inline send(i, what)
{
    m[i].call = what;
    m[i].answer = SENT
}

inline send_proof(i, what)
{
    send(i, what);
    m[i].call_left = FENCE
}

inline end_call(i)
{
    m[i].call = NONE;
    m[i].answer = NOT_SENT;
    m[i].call_left = 0;
    if
    :: m[i].state == IDLE -> m[i].token = 0
    :: else
    fi
}

/* Nothing asks for it any more. */
inline forget_promise(i)
{
    if
    :: m[i].state != HELD && m[i].command == GONE && !is_staging(i) -> m[i].promise_left = 0
    :: else
    fi
}

/* The sidecar has the lock no more, whatever the server thinks. */
inline drop(i)
{
    m[i].state = IDLE;
    m[i].connected = false;
    m[i].word = false;
    m[i].fence_left = 0;
    if
    :: is_free(i) -> m[i].token = 0
    :: else
    fi;
    forget_promise(i)
}

inline tell_client(i)
{
#ifdef WITHOUT_SENT_TIME
    m[i].promise_left = FENCE
#else
    m[i].promise_left = m[i].call_left
#endif
}

inline grant(i)
{
    tell_client(i);
    m[i].state = HELD;
    m[i].connected = true;
    m[i].command = NOT_YET
}

/* At the server. What a sidecar that is gone had sent still comes; but nothing through a descriptor whose lock is
 * gone. */
inline free_lock(i)
{
    owner = NOBODY;
    if
    :: m[i].state == IDLE && m[i].call != TAKE && m[i].call != CLEAN_STAGE -> end_call(i)
    :: else
    fi
}

inline unlock(i)
{
    given_back = given_back || (owner == i && m[i].word);
    if
    :: owner == i -> free_lock(i)
    :: else
    fi;
    drop(i)
}

/* Without the client's word only what was never used may be given back with a clean record, or what was used and is
 * out of time. */
inline give_back(i)
{
    m[i].connected = false;
#ifdef WITHOUT_CLEAN_RECORD
    unlock(i)
#else
    if
    :: may_be_clean(i) -> m[i].state = GIVING_BACK
    :: else -> unlock(i)
    fi
#endif
}

inline execute_locked(i)
{
    if
    :: fails(i) ->
        m[i].answer = REFUSED;
        if
        :: m[i].call == WRITE_TOKEN && record_token > m[i].token -> reached(late_token_failed)
        :: else
        fi
    :: !fails(i) && m[i].call == PROVE -> m[i].answer = DONE
    :: !fails(i) && m[i].call == WRITE_CLEAN -> m[i].answer = DONE; record_clean = true
    :: !fails(i) && m[i].call == WRITE_TOKEN ->
        m[i].answer = DONE;
        must_hold(tokens_only_grow, next_token(i) > record_token);
        record_token = next_token(i);
        record_clean = false;
        given_back = false
    fi
}

inline execute(i)
{
    if
    :: m[i].call == TAKE ->
        m[i].answer = DONE;
        owner = i;
        m[i].token = record_token
    :: m[i].call == CLEAN_STAGE -> /* asks for no lock */
        m[i].answer = DONE;
        stage = stage & ~((1 << (m[i].token + 1)) - 1)
    :: else -> execute_locked(i)
    fi;
    if
    :: m[i].state == IDLE && m[i].call != TAKE -> end_call(i) /* nobody waits for the answer */
    :: else
    fi
}

inline execute_rename(i)
{
    if
    :: stage & (1 << m[i].publish_token) ->
        must_hold(stale_publish_never_wins, m[i].publish_token == record_token);
        stage = stage & ~(1 << m[i].publish_token)
    :: else -> reached(late_rename_failed)
    fi;
    end_publish(i)
}

inline end_publish(i)
{
    m[i].publish = NO_PUBLISH;
    m[i].publish_token = 0;
    forget_promise(i)
}

inline after_taking(i)
{
    if
    :: record_clean -> m[i].state = GRANTING
    :: else ->
        must_hold(clean_release_costs_no_wait, !given_back);
        m[i].state = FENCING;
#ifndef WITHOUT_FENCE_WAIT
        m[i].fence_left = FENCE
#endif
    fi
}

inline after_answer(i)
{
    if
    :: m[i].answer == REFUSED -> drop(i)
    :: m[i].answer == DONE && m[i].call == TAKE -> after_taking(i)
    :: m[i].answer == DONE && m[i].call == CLEAN_STAGE -> m[i].state = GRANTING
    :: m[i].answer == DONE && m[i].call == WRITE_TOKEN ->
        m[i].token = next_token(i);
#ifndef WITHOUT_TOKEN_FIRST
        grant(i)
#endif
    :: m[i].answer == DONE && m[i].call == PROVE && m[i].connected -> tell_client(i)
    :: m[i].answer == DONE && m[i].call == PROVE && !m[i].connected
    :: m[i].answer == DONE && m[i].call == WRITE_CLEAN -> unlock(i)
    fi;
    end_call(i)
}

inline die(i)
{
    drop(i);
    if
    :: m[i].answer != SENT || m[i].call == TAKE || (owner != i && m[i].call != CLEAN_STAGE) -> end_call(i)
    :: else
    fi
}

inline count_down(left)
{
    if
    :: left > 0 -> left--
    :: else
    fi
}

#if MEMBERS == 3
#define other_runs(i) (m[(i + 1) % 3].command == RUNS || m[(i + 2) % 3].command == RUNS)
#else
#define other_runs(i) (m[1 - i].command == RUNS)
#endif

proctype host(byte i)
{
end:
    do
    /* The network and the server; a lease expires when it likes. */
    :: d_step { m[i].answer == SENT && (m[i].call != TAKE || owner == NOBODY) -> execute(i) }
    :: d_step { m[i].publish == STAGING -> stage = stage | (1 << m[i].publish_token); m[i].publish = STAGED }
    :: d_step { m[i].publish == RENAMING -> execute_rename(i) }
    :: d_step { owner == i -> free_lock(i) }

    /* Time. A guard ends its command before it lets the end of the client's time pass. */
    :: d_step { clock_turn == i && !(m[i].command == RUNS && m[i].promise_left == MARGIN) ->
        count_down(m[i].call_left);
        count_down(m[i].fence_left);
        count_down(m[i].promise_left);
        clock_turn = (i + 1) % MEMBERS }
    :: d_step { m[i].command == RUNS && m[i].promise_left == MARGIN -> reached(killed_in_time); m[i].command = GONE; forget_promise(i) }

    /* The sidecar. */
    :: d_step { m[i].answer == DONE || m[i].answer == REFUSED -> after_answer(i) }
    :: d_step { is_free(i) && m[i].state == IDLE && m[i].command == GONE && !is_staging(i) && may_take(i) ->
        send(i, TAKE) }
    :: d_step { is_free(i) && m[i].state == FENCING && m[i].fence_left == 0 ->
        reached(taken_after_fence);
#ifdef WITHOUT_STAGE_CLEANUP
        m[i].state = GRANTING
#else
        m[i].state = CLEANING;
        send(i, CLEAN_STAGE)
#endif
       }
    :: d_step { is_free(i) && m[i].state == GRANTING && record_token < TOKENS ->
        m[i].word = false;
        send_proof(i, WRITE_TOKEN);
#ifdef WITHOUT_TOKEN_FIRST
        grant(i)
#endif
       }
    :: d_step { is_free(i) && (m[i].state == GRANTING || m[i].state == FENCING) -> /* who wanted it has left */
        if
        :: m[i].word -> give_back(i)
        :: else -> unlock(i)
        fi }
    :: d_step { is_free(i) && m[i].state == HELD -> send_proof(i, PROVE) }
    :: d_step { is_free(i) && m[i].state == HELD && m[i].connected && m[i].command == GONE ->
        m[i].word = may_be_clean(i);
        give_back(i) }
    :: d_step { is_free(i) && m[i].state == HELD && m[i].connected && m[i].command == GONE && may_be_clean(i) ->
        reached(handed_over); /* to the next client here */
        m[i].word = true;
        m[i].connected = false;
        m[i].state = GRANTING;
        forget_promise(i) }
    :: d_step { is_free(i) && m[i].state == HELD && !m[i].connected && is_over(i) ->
        reached(given_back_after_close);
        give_back(i) }
    :: d_step { is_free(i) && m[i].state == GIVING_BACK -> send(i, WRITE_CLEAN) }
    :: d_step { m[i].state != IDLE -> die(i) }

    /* efsctl, its guard and the command. */
    :: d_step { m[i].command == NOT_YET && may_start(i) ->
        must_hold(exclusion, !other_runs(i));
        m[i].command = RUNS }
    :: d_step { m[i].command != GONE -> m[i].command = GONE; forget_promise(i) }
    :: d_step { m[i].connected -> m[i].connected = false } /* efsctl is killed; its guard is not */

    /* A publish, for the command. */
    :: d_step { m[i].state == HELD && m[i].connected && m[i].command == RUNS && m[i].publish == NO_PUBLISH ->
        m[i].publish = STAGING;
        m[i].publish_token = m[i].token }
    :: d_step { m[i].publish == STAGED && may_rename(i) -> m[i].publish = RENAMING; forget_promise(i) }
    :: d_step { m[i].publish == STAGED -> end_publish(i) } /* given up, or the sidecar died: the file stays */
    od
}

init
{
    atomic {
        run host(0);
        run host(1);
#if MEMBERS == 3
        run host(2);
#endif
    }
}
