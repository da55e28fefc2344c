#!/usr/bin/perl

# Parameters of path and query: what is missing, lists, encodings, converters,
# and all errors together.  Of the types, see t/param-types.t.

use Test::Nginx::Socket 'no_plan';

# All blocks have one configuration: a route for each handler of the app.
my $paths = CORE::join('', map { qq{async_route GET "/p_$_/{v}" path_$_;\n} }
    qw(int str));
my $queries = CORE::join('', map { "async_route GET /$_ $_;\n" }
    qw(query_int query_float query_bool query_uuid query_str int_or float_or
       bool_or str_or str_or_null plain length list forgive awaited
       no_such_path no_such_path_int));

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => 'async_app $TEST_NGINX_APPS/param.so;');
    $block->set_value(config => "location / {
        $paths $queries
        async_route GET \"/plain/{v}\" plain_path;
        async_route GET \"/conv/int/{v:int}\" path_int;
        async_route GET \"/conv/float/{v:float}\" path_float;
        async_route GET \"/conv/uuid/{v:uuid}\" path_uuid;
        async_route GET \"/all/{u}/{d}\" all;
    }
    location /handler { async_handler plain; }");
});

no_root_location();
run_tests();

__DATA__

=== TEST 1: a missing query parameter is 422, whatever its type
--- request eval
['GET /query_int',
 'GET /query_float',
 'GET /query_bool',
 'GET /query_uuid',
 'GET /query_str']
--- error_code eval
[422, 422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}']



=== TEST 2: a parameter of another name is missing
--- request eval
['GET /query_int?vv=1',
 'GET /query_int?V=1',
 'GET /query_int?=1',
 'GET /query_int?w&x=v']
--- error_code eval
[422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}',
 '{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required","input":null}]}']



=== TEST 3: a default stands for what is missing
--- request eval
['GET /int_or',
 'GET /float_or',
 'GET /bool_or',
 'GET /str_or',
 'GET /str_or_null']
--- response_body eval
['-5',
 '2.5',
 '[true,1]',
 '"default"',
 '{"absent":0}']



=== TEST 4: a default does not stand for what is there
--- request eval
['GET /int_or?v=3',
 'GET /float_or?v=3',
 'GET /bool_or?v=no',
 'GET /str_or?v=x',
 'GET /str_or?v=',
 'GET /str_or_null?v=']
--- response_body eval
['3',
 '3.0',
 '[false,0]',
 '"x"',
 '""',
 '""']



=== TEST 5: a default does not stand for what is wrong
--- request eval
['GET /int_or?v=x',
 'GET /int_or?v=',
 'GET /float_or?v=x',
 'GET /bool_or?v=x']
--- error_code eval
[422, 422, 422, 422]
--- response_body eval
['{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"}]}',
 '{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":""}]}',
 '{"detail":[{"type":"float_parsing","loc":["query","v"],"msg":"Input should be a valid number, unable to parse string as a number","input":"x"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"x"}]}']



=== TEST 6: of a repeated parameter the last one counts
--- request eval
['GET /query_int?v=1&v=2&v=3',
 'GET /plain?v=a&v=b&w=c',
 'GET /query_int?v=x&v=2']
--- response_body eval
['3',
 '"b"',
 '2']



=== TEST 7: a list takes all values in their order
--- request eval
['GET /list?v=1&w=x&v=&v=a%20b&v=1',
 'GET /list?v=a']
--- response_body eval
['["1","","a b","1"]',
 '["a"]']



=== TEST 8: a list of nothing is empty
--- request eval
['GET /list',
 'GET /list?w=1',
 'GET /list?']
--- response_body eval
['[true]',
 '[true]',
 '[true]']



=== TEST 9: a list may have a thousand values
--- request eval
'GET /list?v=0&v=1&v=2&v=3&v=4&v=5&v=6&v=7&v=8&v=9&v=10&v=11&v=12&v=13&v=14&v=15&v=16&v=17&v=18&v=19&v=20&v=21&v=22&v=23&v=24&v=25&v=26&v=27&v=28&v=29&v=30&v=31&v=32&v=33&v=34&v=35&v=36&v=37&v=38&v=39&v=40&v=41&v=42&v=43&v=44&v=45&v=46&v=47&v=48&v=49&v=50&v=51&v=52&v=53&v=54&v=55&v=56&v=57&v=58&v=59&v=60&v=61&v=62&v=63&v=64&v=65&v=66&v=67&v=68&v=69&v=70&v=71&v=72&v=73&v=74&v=75&v=76&v=77&v=78&v=79&v=80&v=81&v=82&v=83&v=84&v=85&v=86&v=87&v=88&v=89&v=90&v=91&v=92&v=93&v=94&v=95&v=96&v=97&v=98&v=99&v=100&v=101&v=102&v=103&v=104&v=105&v=106&v=107&v=108&v=109&v=110&v=111&v=112&v=113&v=114&v=115&v=116&v=117&v=118&v=119&v=120&v=121&v=122&v=123&v=124&v=125&v=126&v=127&v=128&v=129&v=130&v=131&v=132&v=133&v=134&v=135&v=136&v=137&v=138&v=139&v=140&v=141&v=142&v=143&v=144&v=145&v=146&v=147&v=148&v=149&v=150&v=151&v=152&v=153&v=154&v=155&v=156&v=157&v=158&v=159&v=160&v=161&v=162&v=163&v=164&v=165&v=166&v=167&v=168&v=169&v=170&v=171&v=172&v=173&v=174&v=175&v=176&v=177&v=178&v=179&v=180&v=181&v=182&v=183&v=184&v=185&v=186&v=187&v=188&v=189&v=190&v=191&v=192&v=193&v=194&v=195&v=196&v=197&v=198&v=199&v=200&v=201&v=202&v=203&v=204&v=205&v=206&v=207&v=208&v=209&v=210&v=211&v=212&v=213&v=214&v=215&v=216&v=217&v=218&v=219&v=220&v=221&v=222&v=223&v=224&v=225&v=226&v=227&v=228&v=229&v=230&v=231&v=232&v=233&v=234&v=235&v=236&v=237&v=238&v=239&v=240&v=241&v=242&v=243&v=244&v=245&v=246&v=247&v=248&v=249&v=250&v=251&v=252&v=253&v=254&v=255&v=256&v=257&v=258&v=259&v=260&v=261&v=262&v=263&v=264&v=265&v=266&v=267&v=268&v=269&v=270&v=271&v=272&v=273&v=274&v=275&v=276&v=277&v=278&v=279&v=280&v=281&v=282&v=283&v=284&v=285&v=286&v=287&v=288&v=289&v=290&v=291&v=292&v=293&v=294&v=295&v=296&v=297&v=298&v=299&v=300&v=301&v=302&v=303&v=304&v=305&v=306&v=307&v=308&v=309&v=310&v=311&v=312&v=313&v=314&v=315&v=316&v=317&v=318&v=319&v=320&v=321&v=322&v=323&v=324&v=325&v=326&v=327&v=328&v=329&v=330&v=331&v=332&v=333&v=334&v=335&v=336&v=337&v=338&v=339&v=340&v=341&v=342&v=343&v=344&v=345&v=346&v=347&v=348&v=349&v=350&v=351&v=352&v=353&v=354&v=355&v=356&v=357&v=358&v=359&v=360&v=361&v=362&v=363&v=364&v=365&v=366&v=367&v=368&v=369&v=370&v=371&v=372&v=373&v=374&v=375&v=376&v=377&v=378&v=379&v=380&v=381&v=382&v=383&v=384&v=385&v=386&v=387&v=388&v=389&v=390&v=391&v=392&v=393&v=394&v=395&v=396&v=397&v=398&v=399&v=400&v=401&v=402&v=403&v=404&v=405&v=406&v=407&v=408&v=409&v=410&v=411&v=412&v=413&v=414&v=415&v=416&v=417&v=418&v=419&v=420&v=421&v=422&v=423&v=424&v=425&v=426&v=427&v=428&v=429&v=430&v=431&v=432&v=433&v=434&v=435&v=436&v=437&v=438&v=439&v=440&v=441&v=442&v=443&v=444&v=445&v=446&v=447&v=448&v=449&v=450&v=451&v=452&v=453&v=454&v=455&v=456&v=457&v=458&v=459&v=460&v=461&v=462&v=463&v=464&v=465&v=466&v=467&v=468&v=469&v=470&v=471&v=472&v=473&v=474&v=475&v=476&v=477&v=478&v=479&v=480&v=481&v=482&v=483&v=484&v=485&v=486&v=487&v=488&v=489&v=490&v=491&v=492&v=493&v=494&v=495&v=496&v=497&v=498&v=499&v=500&v=501&v=502&v=503&v=504&v=505&v=506&v=507&v=508&v=509&v=510&v=511&v=512&v=513&v=514&v=515&v=516&v=517&v=518&v=519&v=520&v=521&v=522&v=523&v=524&v=525&v=526&v=527&v=528&v=529&v=530&v=531&v=532&v=533&v=534&v=535&v=536&v=537&v=538&v=539&v=540&v=541&v=542&v=543&v=544&v=545&v=546&v=547&v=548&v=549&v=550&v=551&v=552&v=553&v=554&v=555&v=556&v=557&v=558&v=559&v=560&v=561&v=562&v=563&v=564&v=565&v=566&v=567&v=568&v=569&v=570&v=571&v=572&v=573&v=574&v=575&v=576&v=577&v=578&v=579&v=580&v=581&v=582&v=583&v=584&v=585&v=586&v=587&v=588&v=589&v=590&v=591&v=592&v=593&v=594&v=595&v=596&v=597&v=598&v=599&v=600&v=601&v=602&v=603&v=604&v=605&v=606&v=607&v=608&v=609&v=610&v=611&v=612&v=613&v=614&v=615&v=616&v=617&v=618&v=619&v=620&v=621&v=622&v=623&v=624&v=625&v=626&v=627&v=628&v=629&v=630&v=631&v=632&v=633&v=634&v=635&v=636&v=637&v=638&v=639&v=640&v=641&v=642&v=643&v=644&v=645&v=646&v=647&v=648&v=649&v=650&v=651&v=652&v=653&v=654&v=655&v=656&v=657&v=658&v=659&v=660&v=661&v=662&v=663&v=664&v=665&v=666&v=667&v=668&v=669&v=670&v=671&v=672&v=673&v=674&v=675&v=676&v=677&v=678&v=679&v=680&v=681&v=682&v=683&v=684&v=685&v=686&v=687&v=688&v=689&v=690&v=691&v=692&v=693&v=694&v=695&v=696&v=697&v=698&v=699&v=700&v=701&v=702&v=703&v=704&v=705&v=706&v=707&v=708&v=709&v=710&v=711&v=712&v=713&v=714&v=715&v=716&v=717&v=718&v=719&v=720&v=721&v=722&v=723&v=724&v=725&v=726&v=727&v=728&v=729&v=730&v=731&v=732&v=733&v=734&v=735&v=736&v=737&v=738&v=739&v=740&v=741&v=742&v=743&v=744&v=745&v=746&v=747&v=748&v=749&v=750&v=751&v=752&v=753&v=754&v=755&v=756&v=757&v=758&v=759&v=760&v=761&v=762&v=763&v=764&v=765&v=766&v=767&v=768&v=769&v=770&v=771&v=772&v=773&v=774&v=775&v=776&v=777&v=778&v=779&v=780&v=781&v=782&v=783&v=784&v=785&v=786&v=787&v=788&v=789&v=790&v=791&v=792&v=793&v=794&v=795&v=796&v=797&v=798&v=799&v=800&v=801&v=802&v=803&v=804&v=805&v=806&v=807&v=808&v=809&v=810&v=811&v=812&v=813&v=814&v=815&v=816&v=817&v=818&v=819&v=820&v=821&v=822&v=823&v=824&v=825&v=826&v=827&v=828&v=829&v=830&v=831&v=832&v=833&v=834&v=835&v=836&v=837&v=838&v=839&v=840&v=841&v=842&v=843&v=844&v=845&v=846&v=847&v=848&v=849&v=850&v=851&v=852&v=853&v=854&v=855&v=856&v=857&v=858&v=859&v=860&v=861&v=862&v=863&v=864&v=865&v=866&v=867&v=868&v=869&v=870&v=871&v=872&v=873&v=874&v=875&v=876&v=877&v=878&v=879&v=880&v=881&v=882&v=883&v=884&v=885&v=886&v=887&v=888&v=889&v=890&v=891&v=892&v=893&v=894&v=895&v=896&v=897&v=898&v=899&v=900&v=901&v=902&v=903&v=904&v=905&v=906&v=907&v=908&v=909&v=910&v=911&v=912&v=913&v=914&v=915&v=916&v=917&v=918&v=919&v=920&v=921&v=922&v=923&v=924&v=925&v=926&v=927&v=928&v=929&v=930&v=931&v=932&v=933&v=934&v=935&v=936&v=937&v=938&v=939&v=940&v=941&v=942&v=943&v=944&v=945&v=946&v=947&v=948&v=949&v=950&v=951&v=952&v=953&v=954&v=955&v=956&v=957&v=958&v=959&v=960&v=961&v=962&v=963&v=964&v=965&v=966&v=967&v=968&v=969&v=970&v=971&v=972&v=973&v=974&v=975&v=976&v=977&v=978&v=979&v=980&v=981&v=982&v=983&v=984&v=985&v=986&v=987&v=988&v=989&v=990&v=991&v=992&v=993&v=994&v=995&v=996&v=997&v=998&v=999'
--- response_body eval
'["0","1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17","18","19","20","21","22","23","24","25","26","27","28","29","30","31","32","33","34","35","36","37","38","39","40","41","42","43","44","45","46","47","48","49","50","51","52","53","54","55","56","57","58","59","60","61","62","63","64","65","66","67","68","69","70","71","72","73","74","75","76","77","78","79","80","81","82","83","84","85","86","87","88","89","90","91","92","93","94","95","96","97","98","99","100","101","102","103","104","105","106","107","108","109","110","111","112","113","114","115","116","117","118","119","120","121","122","123","124","125","126","127","128","129","130","131","132","133","134","135","136","137","138","139","140","141","142","143","144","145","146","147","148","149","150","151","152","153","154","155","156","157","158","159","160","161","162","163","164","165","166","167","168","169","170","171","172","173","174","175","176","177","178","179","180","181","182","183","184","185","186","187","188","189","190","191","192","193","194","195","196","197","198","199","200","201","202","203","204","205","206","207","208","209","210","211","212","213","214","215","216","217","218","219","220","221","222","223","224","225","226","227","228","229","230","231","232","233","234","235","236","237","238","239","240","241","242","243","244","245","246","247","248","249","250","251","252","253","254","255","256","257","258","259","260","261","262","263","264","265","266","267","268","269","270","271","272","273","274","275","276","277","278","279","280","281","282","283","284","285","286","287","288","289","290","291","292","293","294","295","296","297","298","299","300","301","302","303","304","305","306","307","308","309","310","311","312","313","314","315","316","317","318","319","320","321","322","323","324","325","326","327","328","329","330","331","332","333","334","335","336","337","338","339","340","341","342","343","344","345","346","347","348","349","350","351","352","353","354","355","356","357","358","359","360","361","362","363","364","365","366","367","368","369","370","371","372","373","374","375","376","377","378","379","380","381","382","383","384","385","386","387","388","389","390","391","392","393","394","395","396","397","398","399","400","401","402","403","404","405","406","407","408","409","410","411","412","413","414","415","416","417","418","419","420","421","422","423","424","425","426","427","428","429","430","431","432","433","434","435","436","437","438","439","440","441","442","443","444","445","446","447","448","449","450","451","452","453","454","455","456","457","458","459","460","461","462","463","464","465","466","467","468","469","470","471","472","473","474","475","476","477","478","479","480","481","482","483","484","485","486","487","488","489","490","491","492","493","494","495","496","497","498","499","500","501","502","503","504","505","506","507","508","509","510","511","512","513","514","515","516","517","518","519","520","521","522","523","524","525","526","527","528","529","530","531","532","533","534","535","536","537","538","539","540","541","542","543","544","545","546","547","548","549","550","551","552","553","554","555","556","557","558","559","560","561","562","563","564","565","566","567","568","569","570","571","572","573","574","575","576","577","578","579","580","581","582","583","584","585","586","587","588","589","590","591","592","593","594","595","596","597","598","599","600","601","602","603","604","605","606","607","608","609","610","611","612","613","614","615","616","617","618","619","620","621","622","623","624","625","626","627","628","629","630","631","632","633","634","635","636","637","638","639","640","641","642","643","644","645","646","647","648","649","650","651","652","653","654","655","656","657","658","659","660","661","662","663","664","665","666","667","668","669","670","671","672","673","674","675","676","677","678","679","680","681","682","683","684","685","686","687","688","689","690","691","692","693","694","695","696","697","698","699","700","701","702","703","704","705","706","707","708","709","710","711","712","713","714","715","716","717","718","719","720","721","722","723","724","725","726","727","728","729","730","731","732","733","734","735","736","737","738","739","740","741","742","743","744","745","746","747","748","749","750","751","752","753","754","755","756","757","758","759","760","761","762","763","764","765","766","767","768","769","770","771","772","773","774","775","776","777","778","779","780","781","782","783","784","785","786","787","788","789","790","791","792","793","794","795","796","797","798","799","800","801","802","803","804","805","806","807","808","809","810","811","812","813","814","815","816","817","818","819","820","821","822","823","824","825","826","827","828","829","830","831","832","833","834","835","836","837","838","839","840","841","842","843","844","845","846","847","848","849","850","851","852","853","854","855","856","857","858","859","860","861","862","863","864","865","866","867","868","869","870","871","872","873","874","875","876","877","878","879","880","881","882","883","884","885","886","887","888","889","890","891","892","893","894","895","896","897","898","899","900","901","902","903","904","905","906","907","908","909","910","911","912","913","914","915","916","917","918","919","920","921","922","923","924","925","926","927","928","929","930","931","932","933","934","935","936","937","938","939","940","941","942","943","944","945","946","947","948","949","950","951","952","953","954","955","956","957","958","959","960","961","962","963","964","965","966","967","968","969","970","971","972","973","974","975","976","977","978","979","980","981","982","983","984","985","986","987","988","989","990","991","992","993","994","995","996","997","998","999"]'



=== TEST 10: a parameter with an empty value is there, with "=" or without
--- request eval
['GET /plain?v=',
 'GET /plain?v',
 'GET /plain?w&v&x',
 'GET /query_str?v=']
--- response_body eval
['""',
 '""',
 '""',
 '""']



=== TEST 11: a parameter that is not there is absent
--- request eval
['GET /plain',
 'GET /plain?',
 'GET /plain?&&&']
--- response_body eval
['{"absent":0}',
 '{"absent":0}',
 '{"absent":0}']



=== TEST 12: a value may have "=" and empty parts beside it
--- request eval
['GET /plain?&&v=a=b==&',
 'GET /plain?v==']
--- response_body eval
['"a=b=="',
 '"="']



=== TEST 13: a plus is a space in the query
--- request eval
['GET /plain?v=a+b%2Bc',
 'GET /query_int?v=+5']
--- response_body eval
['"a b+c"',
 '5']



=== TEST 14: a plus is a plus in the path
--- request eval
'GET /plain/a+b'
--- response_body eval
'"a+b"'



=== TEST 15: percent-encoding is decoded in values and names
--- request eval
['GET /plain?%76=%41%c3%bc%26%3D',
 'GET /plain?v=%2541']
--- response_body eval
['"Aü&="',
 '"%41"']



=== TEST 16: what is no percent-encoding stays as it is
--- request eval
['GET /plain?v=%',
 'GET /plain?v=%4',
 'GET /plain?v=%zz',
 'GET /plain?v=100%&w',
 'GET /plain?v=%4g%41']
--- response_body eval
['"%"',
 '"%4"',
 '"%zz"',
 '"100%"',
 '"%4gA"']



=== TEST 17: a zero byte is a part of the value
--- request eval
['GET /length?v=a%00b',
 'GET /query_str?v=a%00b']
--- response_body eval
['[3,true]',
 '"a\\u0000b"']



=== TEST 18: a zero byte does not end a number
--- request eval
'GET /query_int?v=5%00'
--- error_code: 422
--- response_body eval
'{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"5\\u0000"}]}'



=== TEST 19: a plain value that is not UTF-8 is given byte by byte
--- request eval
'GET /length?v=%ff%fe'
--- response_body eval
'[2,true]'



=== TEST 20: a typed text that is not UTF-8 is repaired as Python does
--- request eval
['GET /query_str?v=a%ffb',
 'GET /query_str?v=%e2%82',
 'GET /query_str?v=%e2%82x',
 'GET /query_str?v=%ed%a0%80',
 'GET /query_str?v=%c0%af',
 'GET /query_str?v=%f0%9f%98%80%f0%9f',
 'GET /p_str/%ff']
--- response_body eval
['"a�b"',
 '"�"',
 '"�x"',
 '"���"',
 '"��"',
 '"😀�"',
 '"�"']



=== TEST 21: the input in an error is repaired, too
--- request eval
['GET /query_int?v=%ff',
 'GET /p_int/a%ed%a0%80',
 'GET /query_bool?v=%e2%82']
--- error_code eval
[422, 422, 422]
--- response_body eval
['{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"�"}]}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"a���"}]}',
 '{"detail":[{"type":"bool_parsing","loc":["query","v"],"msg":"Input should be a valid boolean, unable to interpret input","input":"�"}]}']



=== TEST 22: quotes and control characters in an error are escaped
--- request eval
'GET /query_int?v=%22%5C%0a'
--- error_code: 422
--- response_body eval
'{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"\\"\\\\\\n"}]}'



=== TEST 23: all errors come together, path before query
--- request eval
['GET /all/x/y?i=a&b=c&j=d',
 'GET /all/12345678-9abc-def0-1234-56789abcdef0/1.5',
 'GET /all/12345678-9abc-def0-1234-56789abcdef0/1.5?i=1&b=on']
--- error_code eval
[422, 422, 200]
--- response_body eval
['{"detail":[{"type":"uuid_parsing","loc":["path","u"],"msg":"Input should be a valid UUID, invalid character: found `x` at 1","input":"x","ctx":{"error":"invalid character: found `x` at 1"}},{"type":"float_parsing","loc":["path","d"],"msg":"Input should be a valid number, unable to parse string as a number","input":"y"},{"type":"int_parsing","loc":["query","i"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"a"},{"type":"bool_parsing","loc":["query","b"],"msg":"Input should be a valid boolean, unable to interpret input","input":"c"},{"type":"int_parsing","loc":["query","j"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"d"}]}',
 '{"detail":[{"type":"missing","loc":["query","i"],"msg":"Field required","input":null},{"type":"missing","loc":["query","b"],"msg":"Field required","input":null}]}',
 '[1,9,true,1.5,"12345678-9abc-def0-1234-56789abcdef0"]']



=== TEST 24: an error can be forgiven by the handler
--- request eval
['GET /forgive?v=x',
 'GET /forgive?v=1']
--- response_body eval
['Input should be a valid integer, unable to parse string as an integer',
 'fine']



=== TEST 25: an error survives an await
--- request eval
['GET /awaited?v=x',
 'GET /awaited?v=8']
--- error_code eval
[422, 200]
--- response_body eval
['{"detail":[{"type":"int_parsing","loc":["query","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"}]}',
 '8']



=== TEST 26: a converter answers 404 where a typed accessor answers 422
--- request eval
['GET /conv/int/abc',
 'GET /p_int/abc',
 'GET /conv/float/x',
 'GET /conv/uuid/x']
--- error_code eval
[404, 422, 404, 404]
--- response_body eval
['{"detail":"Not Found"}',
 '{"detail":[{"type":"int_parsing","loc":["path","v"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"abc"}]}',
 '{"detail":"Not Found"}',
 '{"detail":"Not Found"}']



=== TEST 27: a converter and an accessor agree on what fits both
--- request eval
['GET /conv/int/42',
 'GET /conv/float/4.5',
 'GET /conv/uuid/12345678-9ABC-DEF0-1234-56789ABCDEF0']
--- response_body eval
['42',
 '4.5',
 '"12345678-9abc-def0-1234-56789abcdef0"']



=== TEST 28: what fits the converter may still be too large for its type
--- request eval
'GET /conv/int/99999999999999999999'
--- error_code: 422
--- response_body eval
'{"detail":[{"type":"int_parsing_size","loc":["path","v"],"msg":"Unable to parse input string as an integer, exceeded maximum size","input":"99999999999999999999"}]}'



=== TEST 29: a path parameter that the pattern lacks is absent
--- request eval
'GET /no_such_path'
--- response_body eval
'{"absent":0}'



=== TEST 30: a typed path parameter that the pattern lacks is a fault of the handler
--- request eval
'GET /no_such_path_int'
--- error_code: 500
--- response_body eval
'{"detail":"Internal Server Error"}'
--- error_log
the pattern of the route has no parameter "w"



=== TEST 31: query parameters are there without a route, too
--- request eval
'GET /handler?v=1'
--- response_body eval
'"1"'



=== TEST 32: the 422 is JSON with its own status line
--- request
GET /query_int?v=x
--- error_code: 422
--- response_headers
Content-Type: application/json
--- raw_response_headers_like: ^HTTP/1.1 422 Unprocessable (?:Content|Entity)\r\n
