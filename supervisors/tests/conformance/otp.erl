%% Plays scripts with Erlang's own `supervisor` and writes what happened, one line each.
%%
%% The text formats are explained in script.rs (what is read) and trace.rs (what is written). Nothing here judges: it starts
%% real supervisors, does what the steps say, waits until nothing moves any more, and writes down who started, who ended and
%% why, what was reported, and what each call answered.
-module(otp).
-export([main/2, log/2, init/1, start_supervisor/1, start_worker/1, start_instance/2, worker/2]).

-record(node, {name, words = [], children = []}).

main(In, Out) ->
    ok = logger:remove_handler(default),
    ok = logger:set_primary_config(level, info),
    ok = logger:add_handler(reports, ?MODULE, #{}),
    register(collector, spawn_link(fun() -> collector(#{}) end)),
    {ok, Text} = file:read_file(In),
    Scripts = scripts(string:split(Text, "\n", all)),
    Played = [[play(Name, Lines), "\n"] || {Name, Lines} <- Scripts],
    ok = file:write_file(Out, ["# OTP ", erlang:system_info(otp_release), "\n\n", Played]).

%% --- Scripts -----------------------------------------------------------------------------------------------------------

%% A line that begins in the first column names a script; the rest are {Indent, Words}.
scripts(Lines) ->
    Add = fun(Line, Acc) ->
              case {string:trim(Line), Acc} of
                  {<<>>, _} -> Acc;
                  {<<"#", _/binary>>, _} -> Acc;
                  {Line1, _} when binary_part(Line, 0, 1) =/= <<" ">> -> [{Line1, []} | Acc];
                  {Line1, [{Name, Body} | Rest]} ->
                      Indent = byte_size(Line) - byte_size(string:trim(Line, leading)),
                      Words = [binary_to_atom(W) || W <- string:lexemes(Line1, " ")],
                      [{Name, [{Indent, Words} | Body]} | Rest]
              end
          end,
    [{Name, lists:reverse(Body)} || {Name, Body} <- lists:reverse(lists:foldl(Add, [], Lines))].

tree([{Indent, [Name | Words]} | Lines]) ->
    {Below, Rest} = lists:splitwith(fun({I, _}) -> I > Indent end, Lines),
    {#node{name = Name, words = Words, children = trees(Below)}, Rest}.

trees([]) -> [];
trees(Lines) ->
    {Node, Rest} = tree(Lines),
    [Node | trees(Rest)].

play(Name, Lines) ->
    {Tree, Steps} = lists:splitwith(fun({_, [Word | _]}) -> Word =/= '>' end, Lines),
    [Top] = trees(Tree),
    Self = self(),
    tell(begin_script),
    Player = spawn(fun() ->
                       process_flag(trap_exit, true),
                       step([start], fun() -> answer_start(start_supervisor(Top)) end),
                       [step(Words, fun() -> do(Words) end) || {_, ['>' | Words]} <- Steps],
                       step([stop], fun() -> stop(Top#node.name) end),
                       Self ! {self(), done}
                   end),
    Monitor = monitor(process, Player),
    receive
        {Player, done} -> ok;
        {'DOWN', Monitor, process, Player, Why} -> note(["PLAYER DIED ", io_lib:format("~0p", [Why])])
    after 20000 -> note("TIMEOUT")
    end,
    exit(Player, kill),
    demonitor(Monitor, [flush]),
    ["@ ", Name, "\n", [[Line, "\n"] || Line <- tell(end_script)]].

step(Words, Do) ->
    note(["> ", lists:join(" ", [atom_to_list(W) || W <- Words])]),
    case Do() of
        none -> settle(0);
        Answer -> settle(0), note(["= ", Answer])
    end.

%% --- Steps -------------------------------------------------------------------------------------------------------------

do([exit, Name, Reason]) -> hit(Name, fun(Pid) -> Pid ! {leave, Reason} end);
do([kill, Name]) -> hit(Name, fun(Pid) -> exit(Pid, kill) end);
do([signal, Name, Reason]) ->
    case tell({pid, Name}) of
        none -> "noproc";
        Pid -> exit(Pid, to_reason(Reason)), none
    end;
do([during, Name, Reason, ':' | Call]) ->
    Self = self(),
    tell({plan, Name, hold, 1}),
    tell({pid, Name}) ! {leave, Reason},
    Held = until(fun() -> tell({held, Name}) end),
    spawn_link(fun() -> Self ! {answer, do(Call)} end),
    Sup = tell({pid, lists:nth(2, Call)}),
    until(fun() -> process_info(Sup, message_queue_len) =/= {message_queue_len, 0} end),
    Held ! go,
    receive {answer, Answer} -> Answer end;
do([fail, Name, Times]) -> plan(Name, fail, Times);
do([ignore, Name, Times]) -> plan(Name, ignore, Times);
do([start_child, Sup | Node]) ->
    {Child, []} = tree([{0, Node}]),
    answer_start(call(Sup, start_child, child_spec(Child)));
do([start_instance, Sup, Name]) -> answer_start(call(Sup, start_child, [Name]));
do([terminate_child, Sup, Name]) -> answer(call(Sup, terminate_child, child_key(Sup, Name)));
do([restart_child, Sup, Name]) -> answer_start(call(Sup, restart_child, Name));
do([delete_child, Sup, Name]) -> answer(call(Sup, delete_child, Name));
do([which_children, Sup]) ->
    case call(Sup, which_children) of
        List when is_list(List) ->
            %% The newest comes first; of a simple_one_for_one supervisor they come in no order.
            Children = [which(Child) || Child <- lists:reverse(List)],
            lists:join(", ", case tell({is_simple, Sup}) of true -> lists:sort(Children); false -> Children end);
        Other -> answer(Other)
    end;
do([count_children, Sup]) ->
    case call(Sup, count_children) of
        Counts when is_list(Counts) -> lists:join(" ", [io_lib:format("~w ~w", [K, V]) || {K, V} <- Counts]);
        Other -> answer(Other)
    end;
do([get_childspec, Sup, Name]) ->
    case call(Sup, get_childspec, child_key(Sup, Name)) of
        {ok, #{id := Id, restart := R, shutdown := S, significant := Sig, type := T}} ->
            io_lib:format("~w ~w ~w ~w significant=~w", [Id, R, S, T, Sig]);
        Other -> answer(Other)
    end.

%% Does it to the process of this name and waits until that has ended.
hit(Name, Do) ->
    case tell({pid, Name}) of
        none -> "noproc";
        Pid ->
            Monitor = monitor(process, Pid),
            Do(Pid),
            receive {'DOWN', Monitor, process, Pid, _} -> none end
    end.

until(Condition) ->
    case Condition() of
        false -> erlang:yield(), until(Condition);
        Found -> Found
    end.

plan(Name, What, Times) ->
    tell({plan, Name, What, list_to_integer(atom_to_list(Times))}),
    none.

stop(Top) ->
    case tell({pid, Top}) of
        none -> "noproc";
        Pid ->
            exit(Pid, shutdown),
            receive {'EXIT', Pid, _} -> none end
    end.

call(Sup, Function) -> catch supervisor:Function(address(Sup)).
call(Sup, Function, Arg) -> catch supervisor:Function(address(Sup), Arg).

%% Supervisors are not registered: a killed one may be started again while something of the old one still ends.
address(Sup) ->
    case tell({pid, Sup}) of
        none -> no_such_process;
        Pid -> Pid
    end.

%% The children of a simple_one_for_one supervisor have no ids: they are named by their pid.
child_key(Sup, Name) ->
    case tell({is_simple, Sup}) of
        true -> tell({last_pid, Name});
        false -> Name
    end.

answer(ok) -> "ok";
answer({error, Reason}) when is_atom(Reason) -> ["error ", reason(Reason)];
answer({error, Reason}) -> ["error failed ", reason(Reason)];
answer({'EXIT', {Reason, {gen_server, call, _}}}) -> ["exit ", reason(Reason)];
answer(Other) -> io_lib:format("~0p", [Other]).

answer_start({ok, undefined}) -> "ok undefined";
answer_start({ok, Pid}) when is_pid(Pid) -> "ok pid";
answer_start({error, {already_started, Pid}}) when is_pid(Pid) -> "error already_started";
answer_start({error, {already_started, {restarting, _}}}) -> "error already_started restarting";
answer_start({error, Reason}) when Reason =:= running; Reason =:= restarting; Reason =:= not_found;
                                   Reason =:= already_present; Reason =:= simple_one_for_one -> answer({error, Reason});
answer_start({error, Reason}) -> ["error failed ", reason(Reason)];
answer_start(Other) -> answer(Other).

which({undefined, Pid, Type, _}) -> which({tell({name, Pid}), Pid, Type, []});
which({Id, Pid, Type, _}) when is_pid(Pid) -> lists:flatten(io_lib:format("~w running ~w", [Id, Type]));
which({Id, State, Type, _}) -> lists:flatten(io_lib:format("~w ~w ~w", [Id, State, Type])).

reason(boom) -> "error";
reason({boom, _Stack}) -> "error";
reason({shutdown, {failed_to_start_child, Id, Why}}) -> io_lib:format("shutdown:failed_to_start_child:~w:~s", [Id, reason(Why)]);
reason({shutdown, What}) -> io_lib:format("shutdown:~w", [What]);
reason({start_spec, _}) -> "bad_spec";
reason({bad_combination, _}) -> "bad_spec";
reason(Atom) when is_atom(Atom) -> atom_to_list(Atom);
reason(Other) -> io_lib:format("~0p", [Other]).

%% Everything that lives has answered twice and nothing has happened in between.
settle(2) -> ok;
settle(Calm) ->
    Before = tell(count),
    [ping(Kind, Pid) || {Pid, Kind} <- tell(living)],
    case tell(count) of
        Before -> settle(Calm + 1);
        _ -> settle(0)
    end.

ping(supervisor, Pid) -> catch supervisor:count_children(Pid);
ping(worker, Pid) ->
    Monitor = monitor(process, Pid),
    Pid ! {ping, self()},
    receive
        {Pid, pong} -> demonitor(Monitor, [flush]);
        {'DOWN', Monitor, process, Pid, _} -> ok
    end.

%% --- The children ------------------------------------------------------------------------------------------------------

start_supervisor(Node) -> supervisor:start_link(?MODULE, Node).

init(#node{name = Name, words = Words, children = Children}) ->
    [Strategy] = [W || W <- Words, is_strategy(W)],
    case tell({started, Name, {supervisor, Strategy}, self(), Words}) of
        fail -> exit(boom);
        ignore -> ignore;
        run ->
            Flags = lists:foldl(fun flag/2, #{strategy => Strategy}, Words),
            {ok, {Flags, [child_spec(Child) || Child <- Children]}}
    end.

is_strategy(W) -> lists:member(W, [one_for_one, one_for_all, rest_for_one, simple_one_for_one]).

flag(Word, Flags) ->
    case string:split(atom_to_list(Word), "=") of
        ["intensity", Limit] ->
            [Intensity, Period] = [list_to_integer(N) || N <- string:lexemes(Limit, "/")],
            Flags#{intensity => Intensity, period => Period};
        ["auto_shutdown", Which] -> Flags#{auto_shutdown => list_to_atom(Which)};
        _ -> Flags
    end.

child_spec(#node{name = Name, words = Words} = Node) ->
    Spec = case {lists:any(fun is_strategy/1, Words), lists:member(template, Words)} of
               {true, _} -> #{type => supervisor, start => {?MODULE, start_supervisor, [Node]}};
               {false, true} -> #{start => {?MODULE, start_instance, [Node]}};
               {false, false} -> #{start => {?MODULE, start_worker, [Node]}}
           end,
    lists:foldl(fun child_word/2, Spec#{id => Name}, Words).

child_word(Word, Spec) when Word =:= permanent; Word =:= transient; Word =:= temporary -> Spec#{restart => Word};
child_word(brutal_kill, Spec) -> Spec#{shutdown => brutal_kill};
child_word(infinity, Spec) -> Spec#{shutdown => infinity};
child_word(significant, Spec) -> Spec#{significant => true};
child_word(Word, Spec) ->
    case string:split(atom_to_list(Word), "=") of
        ["shutdown", Millis] -> Spec#{shutdown => list_to_integer(Millis)};
        _ -> Spec
    end.

start_worker(Node) -> proc_lib:start_link(?MODULE, worker, [self(), Node]).

start_instance(Node, Name) -> start_worker(Node#node{name = Name}).

worker(Parent, #node{name = Name, words = Words}) ->
    Ends = [list_to_atom(R) || W <- Words, "ends=" ++ R <- [atom_to_list(W)]],
    Traps = lists:member(traps, Words) orelse lists:member(deaf, Words) orelse Ends =/= [],
    process_flag(trap_exit, Traps),
    case tell({started, Name, worker, self(), Words}) of
        fail -> exit(boom);
        hold -> receive go -> exit(boom) end;
        ignore -> proc_lib:init_ack(ignore);
        run ->
            proc_lib:init_ack({ok, self()}),
            loop(Parent, lists:member(deaf, Words), Ends)
    end.

loop(Parent, Deaf, Ends) ->
    receive
        {ping, From} -> From ! {self(), pong}, loop(Parent, Deaf, Ends);
        {leave, error} -> error(boom);
        {leave, Reason} -> exit(to_reason(Reason));
        {'EXIT', Parent, _} when Deaf -> loop(Parent, Deaf, Ends);
        {'EXIT', Parent, _} when Ends =/= [] -> exit(to_reason(hd(Ends)));
        {'EXIT', Parent, Reason} -> exit(Reason);
        {'EXIT', _, _} -> loop(Parent, Deaf, Ends)
    end.

to_reason(error) -> boom;
to_reason(Reason) ->
    case string:split(atom_to_list(Reason), ":") of
        ["shutdown", What] -> {shutdown, list_to_atom(What)};
        _ -> Reason
    end.

%% --- The collector -----------------------------------------------------------------------------------------------------

tell(What) ->
    Ref = make_ref(),
    collector ! {self(), Ref, What},
    receive {Ref, Answer} -> Answer end.

note(Line) -> tell({note, Line}).

%% Runs in the process that reports, so before whatever that does next.
log(#{msg := {report, #{label := {supervisor, progress}, report := Report}}}, _) ->
    Started = proplists:get_value(started, Report),
    tell({supervisor_report, self(), progress, none, proplists:get_value(pid, Started), proplists:get_value(id, Started)});
log(#{msg := {report, #{label := {supervisor, Context}, report := Report}}}, _) ->
    Offender = proplists:get_value(offender, Report),
    tell({supervisor_report, self(), Context, proplists:get_value(reason, Report), proplists:get_value(pid, Offender),
          child_name(proplists:get_value(mfargs, Offender), proplists:get_value(id, Offender))});
log(#{msg := {report, #{label := {proc_lib, crash}, report := [Info | _]}}}, _) ->
    {_Class, Reason, _Stack} = proplists:get_value(error_info, Info),
    tell({crash_report, self(), Reason});
log(_, _) -> ok.

child_name({?MODULE, start_instance, [_, Name]}, _) -> Name;
child_name(_, Id) -> Id.

%% State: {log, Lines}, {count, N}, {{times, Name}, N}, {{plan, Name}, [...]}, {{name, Name}, Pid}, {Pid, {Name, Nth, Kind, Alive}}
collector(State) ->
    receive
        {trace, Pid, exit, Reason} when is_map_key(Pid, State) ->
            {Name, Nth, Kind, true} = maps:get(Pid, State),
            collector(line(State#{Pid => {Name, Nth, Kind, false}}, ["- ", of_process(Name, Nth), " ", reason(Reason)]));
        Trace when element(1, Trace) =:= trace -> collector(State);
        {From, Ref, What} ->
            {Answer, New} = collect(What, State),
            From ! {Ref, Answer},
            collector(New)
    end.

of_process(Name, Nth) -> io_lib:format("~w ~w", [Name, Nth]).

line(State, Line) -> State#{log => [Line | maps:get(log, State, [])], count => maps:get(count, State, 0) + 1}.

collect(begin_script, _) -> {ok, #{log => [], count => 0}};
collect(end_script, #{log := Log} = State) ->
    [exit(Pid, kill) || {Pid, {_, _, _, true}} <- maps:to_list(State)],
    {lists:reverse(Log), #{}};
collect({note, Line}, State) -> {ok, line(State, Line)};
collect(count, State) -> {maps:get(count, State, 0), State};
collect(living, State) -> {[{Pid, kind(Kind)} || {Pid, {_, _, Kind, true}} <- maps:to_list(State)], State};
collect({pid, Name}, State) ->
    case State of
        #{{name, Name} := Pid} when element(4, map_get(Pid, State)) -> {Pid, State};
        _ -> {none, State}
    end;
collect({held, Name}, State) -> {maps:get({held, Name}, State, false), State};
collect({last_pid, Name}, State) -> {maps:get({name, Name}, State, whereis(collector)), State};
collect({is_simple, Name}, State) ->
    case State of
        #{{name, Name} := Pid} -> {element(3, map_get(Pid, State)) =:= {supervisor, simple_one_for_one}, State};
        _ -> {false, State}
    end;
collect({name, Pid}, State) ->
    case State of
        #{Pid := {Name, _, _, _}} -> {Name, State};
        _ -> {nobody, State}
    end;
collect({plan, Name, What, Times}, State) -> {ok, State#{{plan, Name} => lists:duplicate(Times, What)}};
collect({started, Name, Kind, Pid, Words}, State) ->
    %% An exit is traced before links and monitors tell anyone, so in its place among all else.
    erlang:trace(Pid, true, [procs]),
    Nth = maps:get({times, Name}, State, 0),
    {Now, Later} = case maps:get({plan, Name}, State, planned(Words)) of
                       [First | Rest] -> {First, Rest};
                       [] -> {run, []}
                   end,
    Held = case Now of hold -> Pid; _ -> false end,
    Known = State#{{held, Name} => Held, {times, Name} => Nth + 1, {name, Name} => Pid, {plan, Name} => Later, Pid => {Name, Nth, Kind, true}},
    {Now, line(Known, ["+ ", of_process(Name, Nth)])};
collect({supervisor_report, Sup, _, _, _, _}, State) when not is_map_key(Sup, State) -> {ok, State};
collect({supervisor_report, Sup, Context, Reason, Pid, Id}, State) ->
    #{Sup := {SupName, Nth, _, _}} = State,
    Child = case State of
                #{Pid := {Name, _, _, _}} -> Name;
                _ -> Id
            end,
    Why = case Context of progress -> ""; _ -> [" ", reason(Reason)] end,
    {ok, line(State, ["! ", of_process(SupName, Nth), io_lib:format(" ~w ~w", [Context, Child]), Why])};
collect({crash_report, Pid, Reason}, State) ->
    case State of
        #{Pid := {Name, Nth, _, _}} -> {ok, line(State, ["! ", of_process(Name, Nth), " crash ", reason(Reason)])};
        _ -> {ok, State}
    end.

kind({supervisor, _}) -> supervisor;
kind(worker) -> worker.

%% What a child's own words say about its first starts.
planned(Words) ->
    lists:append([lists:duplicate(list_to_integer(N), list_to_atom(What))
                  || W <- Words, [What, N] <- [string:lexemes(atom_to_list(W), "=")], What =:= "fail" orelse What =:= "ignore"]).
